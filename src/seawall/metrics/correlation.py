"""Correlation of predictions and targets across the names of one date, and the plain t of one over all pairs."""

import math

import numpy as np
import numpy.typing as npt

from seawall.arrays import AnyArray, Float64
from seawall.metrics.ranks import average_ranks


def pooled_t(ic: float, n: int) -> float:
    """Compute the t statistic of a correlation over n pairs: ic x sqrt((n - 2) / (1 - ic^2)).

    It takes all pairs as independent, which names of one day and neighbouring days are not: it flatters. The honest
    figure is ``t_hac`` of the daily series. Memory is constant.

    Parameters
    ----------
    ic
        Correlation, from -1 to 1.
    n
        Pairs it was taken over.

    Returns
    -------
    float
        NaN below three pairs or where ``ic`` is NaN; infinite where ``ic`` is 1 or -1.

    Examples
    --------
    >>> [round(pooled_t(ic, 1000), 3) for ic in (-0.0181, 0.0070, -0.0537)]
    [-0.572, 0.221, -1.699]
    """
    if n < 3 or math.isnan(ic):
        return math.nan
    unexplained = (1.0 - ic) * (1.0 + ic)
    return ic * math.sqrt((n - 2) / unexplained) if unexplained > 0 else math.copysign(math.inf, ic)


def information_coefficient(prediction: npt.ArrayLike, target: npt.ArrayLike, *, min_names: int = 2) -> float:
    """Compute the IC of one date: Pearson correlation of prediction and target across names, in float64.

    Parameters
    ----------
    prediction, target
        Shape [n], one value per name, any number dtype; a name with a NaN on either side is left out.
    min_names
        Fewest names that still give a number.

    Returns
    -------
    float
        NaN below ``min_names``, without variance on either side (values all alike, exactly), or with an infinite value.

    Raises
    ------
    ValueError
        Where the arrays are not one axis of equal length.

    Notes
    -----
    Memory is 16 bytes a name, and 16 more where something is missing.

    Examples
    --------
    >>> round(information_coefficient([1.0, 2.0, 3.0, 9.0], [2.0, 1.0, 3.0, float("nan")]), 12)
    0.5
    """
    predictions, targets = complete_pairs(prediction, target)
    return _pearson(predictions, targets) if len(predictions) >= max(min_names, 2) else math.nan


def rank_information_coefficient(prediction: npt.ArrayLike, target: npt.ArrayLike, *, min_names: int = 2) -> float:
    """Compute the Rank IC of one date: Spearman correlation, ties sharing their mean rank.

    Parameters
    ----------
    prediction, target
        Shape [n], one value per name, any number dtype; a name with a NaN on either side is left out. Infinite values
        rank like others.
    min_names
        Fewest names that still give a number.

    Returns
    -------
    float
        NaN below ``min_names``, or where the ranks of one side are all alike.

    Raises
    ------
    ValueError
        Where the arrays are not one axis of equal length.

    Notes
    -----
    Memory is 41 bytes a name, and 16 more where something is missing.

    Examples
    --------
    >>> round(rank_information_coefficient([0.1, 0.2, 0.2, 9.0], [1.0, 2.0, 3.0, 4.0]), 12)
    0.948683298051
    """
    predictions, targets = complete_pairs(prediction, target)
    if len(predictions) < max(min_names, 2):
        return math.nan
    return _pearson(average_ranks(predictions), average_ranks(targets))


def complete_pairs(prediction: npt.ArrayLike, target: npt.ArrayLike) -> tuple[AnyArray, AnyArray]:
    """Keep the pairs that have both values; copies only where something is missing.

    Raises
    ------
    ValueError
        Where the arrays are not one axis of equal length.
    """
    predictions, targets = np.asarray(prediction), np.asarray(target)
    if predictions.ndim != 1 or predictions.shape != targets.shape:
        raise ValueError(f"prediction {predictions.shape}, target {targets.shape}: must be one axis of equal length")
    missing = np.isnan(predictions) | np.isnan(targets)
    return (predictions[~missing], targets[~missing]) if missing.any() else (predictions, targets)


def _pearson(x: AnyArray, y: AnyArray) -> float:
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        x_centred, y_centred = _centred(x), _centred(y)
        x_squares, y_squares = float(x_centred @ x_centred), float(y_centred @ y_centred)
        # Outside, squares of small values underflow or those of large ones overflow (or there is no variance at all).
        if not (1e-250 < x_squares < 1e250 and 1e-250 < y_squares < 1e250):
            x_centred, y_centred = _scaled(x_centred), _scaled(y_centred)
            x_squares, y_squares = float(x_centred @ x_centred), float(y_centred @ y_centred)
        found = float(x_centred @ y_centred) / (math.sqrt(x_squares) * math.sqrt(y_squares))
    return found if math.isnan(found) else max(-1.0, min(1.0, found))


def _centred(values: AnyArray) -> Float64:
    """Subtract the mean, taken around the first value: values all alike are then exactly zero.

    A rounded mean would leave a constant dust that correlates perfectly with any other dust.
    """
    wide = values.astype(np.float64)
    wide -= wide[0]
    wide -= np.add.reduce(wide) / len(wide)
    return wide


def _scaled(centred: Float64) -> Float64:
    """Scale to a largest value of 1; NaN where the values are all alike or one is infinite."""
    largest = float(np.abs(centred).max())
    return centred / largest if 0.0 < largest < math.inf else np.full(centred.shape, np.nan)
