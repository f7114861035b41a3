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
    num_ranked = len(ordered) - int(np.isnan(ordered).sum())
    if num_ranked == 0:
        return ranks
    is_first = np.concatenate([[True], ordered[1:num_ranked] != ordered[: num_ranked - 1]])
    starts = np.append(np.flatnonzero(is_first), num_ranked)
    # Ranks start + 1 .. stop have the mean (start + stop + 1) / 2.
    shared = (starts[:-1] + starts[1:] + 1) / 2
    ranks[order[:num_ranked]] = np.repeat(shared, np.diff(starts))
    return ranks
