"""Ranks with ties shared fairly: float32 predictions do tie, and minimum ranks would bias the correlation."""

import numpy as np
import numpy.typing as npt

from seawall.arrays import Float64


def average_ranks(values: npt.ArrayLike) -> Float64:
    """Rank values from 1 (smallest) to n; equal values share the mean of the ranks they take up.

    Parameters
    ----------
    values
        One axis, n values. A NaN gets the rank NaN and takes up no rank.

    Returns
    -------
    numpy.ndarray
        float64 [n]. Memory grows with n: about 40 bytes a value.

    Examples
    --------
    >>> average_ranks([30.0, 10.0, 20.0, 10.0]).tolist()
    [4.0, 1.5, 3.0, 1.5]
    """
    given = np.asarray(values)
    ranks = np.full(given.shape, np.nan)
    order = np.argsort(given)  # NaN sorts last
    ordered = given[order]
    num_ranked = len(ordered)
    if num_ranked and np.isnan(ordered[-1]):
        num_ranked -= int(np.isnan(ordered).sum())
    is_new = ordered[1:num_ranked] != ordered[: max(num_ranked - 1, 0)]
    if is_new.all():
        ranks[order[:num_ranked]] = np.arange(1.0, num_ranked + 1.0)
        return ranks
    starts = np.concatenate([[0], np.flatnonzero(is_new) + 1, [num_ranked]])
    # Ranks start + 1 .. stop have the mean (start + stop + 1) / 2.
    shared = (starts[:-1] + starts[1:] + 1) / 2
    ranks[order[:num_ranked]] = np.repeat(shared, np.diff(starts))
    return ranks
