"""Mean targets of names grouped by prediction: what the top fifth earned, and the bottom fifth."""

import numpy as np
import numpy.typing as npt

from seawall.arrays import AnyArray, Float64, Int64
from seawall.metrics.correlation import complete_pairs
from seawall.metrics.ranks import average_ranks


def quantile_means(prediction: npt.ArrayLike, target: npt.ArrayLike, num_quantiles: int) -> Float64:
    """Split the names of one date into groups by prediction and average each group's targets.

    A name of average rank r among n (1 = lowest prediction) falls into group floor((r - 1/2) x num_quantiles / n).
    Without ties group sizes differ by one at most. Equal predictions share a rank, so they always share a group, even
    where that leaves another group empty: there is no order among them to cut by.

    Parameters
    ----------
    prediction, target
        Shape [n], one value per name, any number dtype; a name with a NaN on either side is left out.
    num_quantiles
        Number of groups, at least 1.

    Returns
    -------
    numpy.ndarray
        float64 [num_quantiles], lowest predictions first; NaN where a group is empty.

    Raises
    ------
    ValueError
        Where the arrays are not one axis of equal length.

    Notes
    -----
    Memory is 33 bytes a name, and 16 more where something is missing.

    Examples
    --------
    >>> quantile_means([0.1, 0.2, 0.3, 0.4], [1.0, 3.0, 5.0, 9.0], 2).tolist()
    [2.0, 7.0]
    >>> quantile_means([0.5, 0.5, 0.5], [1.0, 2.0, 6.0], 3).tolist()
    [nan, 3.0, nan]
    """
    predictions, targets = complete_pairs(prediction, target)
    return group_means(quantile_groups(average_ranks(predictions), num_quantiles), targets, num_quantiles)


def quantile_groups(ranks: Float64, num_quantiles: int) -> Int64:
    """Give each name its group: int64 [n], 0 for the lowest ranks (average ranks, none missing)."""
    # Twice an average rank is a whole number: the cut is exact in integers.
    doubled = np.rint(2.0 * ranks).astype(np.int64) - 1
    groups: Int64 = doubled * num_quantiles // (2 * max(len(ranks), 1))
    return groups


def group_means(groups: Int64, targets: AnyArray, num_quantiles: int) -> Float64:
    """Average the targets of each group: float64 [num_quantiles], NaN where a group is empty."""
    sizes = np.bincount(groups, minlength=num_quantiles)
    sums = np.bincount(groups, weights=targets.astype(np.float64), minlength=num_quantiles)
    means: Float64 = np.divide(sums, sizes, out=np.full(num_quantiles, np.nan), where=sizes > 0)
    return means
