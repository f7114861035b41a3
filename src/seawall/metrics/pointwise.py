"""Errors, R2, bias and Pearson correlation of any number of (prediction, target) pairs, in constant memory.

Centred moments are merged pairwise, never built from raw sums of squares: those lose every digit once the mean is large
against the spread (an R2 of -0.94 came out as +1.07 in a widely used library on data with mean 1,000 and spread 1).
Source: T. F. Chan, G. H. Golub, R. J. LeVeque, Algorithms for computing the sample variance, 1983.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from seawall.arrays import AnyArray, Float64
from seawall.metrics.compensated import ZERO, Pair, add, difference, two_sum

BLOCK_VALUES = 8192
"""Pairs per step: the float64 copies of a step (some 400 KiB) stay in a core's own cache.

Twice as many is six times slower in CPU seconds: BLAS then starts threads for each product.
"""

RUN_VALUES = 524_288
"""Pairs whose sums are merged into the moments together: merging is Python and takes as long as two blocks."""

STEP_ROWS, STEP_COLUMNS = 4, 10_000
"""Pairs per step of a run: a row is a product of its own, the longest for which BLAS stays on one thread, and rows
share the cost of a call. The two buffers, of 320 KB each, stay in the second cache."""

_ONES = np.ones(STEP_COLUMNS)
"""A product with ones sums a third faster than a sum."""


@dataclass(frozen=True, slots=True)
class PointwiseResult:
    """Pooled numbers over all pairs; undefined numbers are NaN, never 0.

    ``bias`` is mean prediction minus mean target. ``r2`` compares with the mean of the very targets it is measured on.
    With no pair everything is undefined; with one pair, or targets all alike, ``r2`` and ``pearson`` are.
    """

    n: int
    mse: float
    rmse: float
    mae: float
    r2: float
    bias: float
    pearson: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far predictions are the targets themselves, not only lined up with them; NaN where undefined.

    ``ccc`` is the concordance correlation 2 s_pt / (s_p^2 + s_t^2 + (m_p - m_t)^2) with population moments; 0 where
    only one side varies, undefined where neither side varies and both agree. ``nse`` is the Nash-Sutcliffe efficiency
    1 - sum (p - t)^2 / sum (t - m_t)^2: R2 under its name in hydrology. ``kge`` is the Kling-Gupta efficiency of 2009,
    1 - sqrt((r - 1)^2 + (alpha - 1)^2 + (beta - 1)^2) with ``alpha`` = s_p / s_t and ``beta`` = m_p / m_t: undefined
    where r is, or where the mean target is 0. Where that mean is near 0 against the spread (returns), beta and kge say
    nothing.

    Sources: L. I. Lin, Biometrics 45, 1989; J. E. Nash, J. V. Sutcliffe, Journal of Hydrology 10, 1970; H. V. Gupta,
    H. Kling, K. K. Yilmaz, G. F. Martinez, Journal of Hydrology 377, 2009.
    """

    n: int
    ccc: float
    nse: float
    kge: float
    alpha: float
    beta: float


@dataclass(frozen=True, slots=True)
class _Moments:
    """Everything known of the pairs seen: sums of products are centred on the means."""

    num_pairs: int = 0
    mean_prediction: Pair = ZERO
    mean_target: Pair = ZERO
    prediction_squares: Pair = ZERO
    target_squares: Pair = ZERO
    products: Pair = ZERO
    squared_errors: Pair = ZERO
    absolute_errors: Pair = ZERO


class PointwiseMoments:
    """Accumulate pairs chunk by chunk; chunking and merge order change the result by rounding only.

    Each number is within 1e-12 x its scale of the exact answer: 1 for ``pearson``, mean |x| for ``bias``,
    max(1, |R2|) for ``r2``, the number itself for errors. A pair with a NaN on either side is left out and counted.
    An infinite value makes the numbers it enters NaN. Memory is under 1 MiB whatever is fed.

    Examples
    --------
    >>> moments = PointwiseMoments()
    >>> moments.update([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    >>> moments.update([7.0], [float("nan")])
    >>> result = moments.result()
    >>> result.n, round(result.mse, 6), result.r2, moments.num_left_out
    (3, 0.333333, 0.5, 1)
    """

    def __init__(self) -> None:
        self._moments = _Moments()
        self._num_left_out = 0

    @property
    def num_left_out(self) -> int:
        """Pairs left out because prediction or target was NaN."""
        return self._num_left_out

    def update(self, prediction: npt.ArrayLike, target: npt.ArrayLike) -> None:
        """Take in pairs, widened to float64 a small block at a time.

        Parameters
        ----------
        prediction, target
            Two arrays of one shape and any number dtype; a pair with a NaN on either side is left out and counted.

        Raises
        ------
        ValueError
            Where the shapes differ: broadcasting one of them would count pairs that do not exist.
        """
        predictions, targets = np.asarray(prediction), np.asarray(target)
        if predictions.shape != targets.shape:
            raise ValueError(f"prediction of shape {predictions.shape}, target of shape {targets.shape}: must be equal")
        predictions, targets = predictions.reshape(-1), targets.reshape(-1)
        for start in range(0, len(predictions), RUN_VALUES):
            run = slice(start, start + RUN_VALUES)
            if not self._take_run(predictions[run], targets[run]):
                self._take_blocks(predictions[run], targets[run])

    def _take_run(self, predictions: AnyArray, targets: AnyArray) -> bool:
        """Take in a run of blocks around the means seen so far; False where that would cost digits, or one is NaN."""
        if self._moments.num_pairs == 0 or len(predictions) < BLOCK_VALUES:
            return False
        with np.errstate(invalid="ignore", over="ignore"):
            moments = _moments_of_run(predictions, targets, self._moments)
        if moments is None:
            return False
        self._moments = _combined(self._moments, moments)
        return True

    def _take_blocks(self, predictions: AnyArray, targets: AnyArray) -> None:
        for start in range(0, len(predictions), BLOCK_VALUES):
            block = slice(start, start + BLOCK_VALUES)
            self._take(predictions[block], targets[block])

    def _take(self, predictions: AnyArray, targets: AnyArray) -> None:
        predictions, targets = predictions.astype(np.float64), targets.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            moments = _moments_of(predictions, targets, self._moments)
            # One test of the sum is cheaper than one of every value: a NaN on either side reaches the squared errors.
            if math.isnan(moments.squared_errors[0]):
                present = ~(np.isnan(predictions) | np.isnan(targets))
                moments = _moments_of(predictions[present], targets[present], self._moments)
        self._num_left_out += len(predictions) - moments.num_pairs
        self._moments = _combined(self._moments, moments)

    def merge(self, other: "PointwiseMoments") -> None:
        """Take in everything another accumulator has seen; the other one is left as it is."""
        self._moments = _combined(self._moments, other._moments)
        self._num_left_out += other._num_left_out

    def result(self) -> PointwiseResult:
        """Compute the numbers over everything seen so far."""
        m, n = self._moments, self._moments.num_pairs
        if n == 0:
            return PointwiseResult(0, *[math.nan] * 6)
        squared_error, absolute_error = _or_nan(sum(m.squared_errors)), _or_nan(sum(m.absolute_errors))
        spread = sum(m.target_squares)
        return PointwiseResult(
            n=n,
            mse=squared_error / n,
            rmse=math.sqrt(squared_error / n),
            mae=absolute_error / n,
            r2=1.0 - squared_error / spread if spread > 0 else math.nan,
            bias=difference(m.mean_prediction, m.mean_target),
            pearson=_correlation(sum(m.products), sum(m.prediction_squares), spread),
        )

    def agreement(self) -> Agreement:
        """Compute concordance and the hydrologists' efficiencies over everything seen so far.

        Examples
        --------
        >>> moments = PointwiseMoments()
        >>> moments.update([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
        >>> found = moments.agreement()
        >>> round(found.ccc, 6), found.nse, found.kge
        (0.571429, -0.5, 0.5)
        """
        m, n, result = self._moments, self._moments.num_pairs, self.result()
        squares, spread = sum(m.prediction_squares), sum(m.target_squares)
        whole = squares + spread + n * result.bias * result.bias if n > 1 else math.nan
        mean = sum(m.mean_target)
        alpha = math.sqrt(squares / spread) if spread > 0 and squares >= 0 else math.nan
        beta = sum(m.mean_prediction) / mean if n and mean != 0 else math.nan
        distance = math.sqrt((result.pearson - 1.0) ** 2 + (alpha - 1.0) ** 2 + (beta - 1.0) ** 2)
        return Agreement(
            n=n,
            ccc=2.0 * sum(m.products) / whole if whole > 0 else math.nan,
            nse=result.r2,
            kge=1.0 - distance,
            alpha=alpha,
            beta=beta,
        )

    def state(self) -> dict[str, Any]:
        """Give everything as plain numbers and lists, to store as JSON or send to another process."""
        plain = {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self._moments).items()
        }
        return {**plain, "num_left_out": self._num_left_out}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Continue from what :meth:`state` gave: bit for bit as if never interrupted."""
        fields = dict(state)
        restored = cls()
        restored._num_left_out = int(fields.pop("num_left_out"))
        num_pairs = int(fields.pop("num_pairs"))
        pairs = {name: (float(high), float(low)) for name, (high, low) in fields.items()}
        restored._moments = _Moments(num_pairs=num_pairs, **pairs)
        return restored


def _or_nan(total: float) -> float:
    """Give NaN for an infinite sum: one more infinite value would make it that, and chunks must not decide."""
    return total if math.isfinite(total) else math.nan


def _correlation(products: float, squares: float, other_squares: float) -> float:
    if not (squares > 0 and other_squares > 0):
        return math.nan
    # Two divisions: the product of two tiny variances may underflow to zero.
    return float(np.clip(products / math.sqrt(squares) / math.sqrt(other_squares), -1.0, 1.0))


def _moments_of(predictions: Float64, targets: Float64, seen: _Moments) -> _Moments:
    n = len(predictions)
    if n == 0:
        return _Moments()
    errors = predictions - targets
    prediction = _centred(predictions, seen.mean_prediction[0] if seen.num_pairs else float(predictions[0]))
    target = _centred(targets, seen.mean_target[0] if seen.num_pairs else float(targets[0]))
    return _Moments(
        num_pairs=n,
        mean_prediction=two_sum(prediction.centre, prediction.rest / n),
        mean_target=two_sum(target.centre, target.rest / n),
        prediction_squares=(prediction.squares - prediction.rest * prediction.rest / n, 0.0),
        target_squares=(target.squares - target.rest * target.rest / n, 0.0),
        products=(float(prediction.differences @ target.differences) - prediction.rest * target.rest / n, 0.0),
        squared_errors=(float(errors @ errors), 0.0),
        absolute_errors=(float(np.abs(errors).sum()), 0.0),
    )


def _moments_of_run(predictions: AnyArray, targets: AnyArray, seen: _Moments) -> _Moments | None:
    """Sum up a run of blocks around the means seen so far, in buffers that stay in the cache.

    None where a value is NaN or infinite, or a mean lies too far from those seen to keep every digit.
    """
    n = len(predictions)
    centres = (
        _run_centre(seen.num_pairs, seen.mean_prediction, seen.prediction_squares),
        _run_centre(seen.num_pairs, seen.mean_target, seen.target_squares),
    )
    totals = _row_sums(predictions, targets, centres)
    if not np.isfinite(np.abs(totals).sum()):
        return None
    rest_p, rest_t, squares_p, squares_t, products, squared, absolute = (math.fsum(part) for part in totals)
    is_near = rest_p * rest_p <= 0.25 * n * squares_p and rest_t * rest_t <= 0.25 * n * squares_t
    if not is_near:
        return None
    return _Moments(
        num_pairs=n,
        mean_prediction=two_sum(centres[0], rest_p / n),
        mean_target=two_sum(centres[1], rest_t / n),
        prediction_squares=(squares_p - rest_p * rest_p / n, 0.0),
        target_squares=(squares_t - rest_t * rest_t / n, 0.0),
        products=(products - rest_p * rest_t / n, 0.0),
        squared_errors=(squared, 0.0),
        absolute_errors=(absolute, 0.0),
    )


def _run_centre(num_pairs: int, mean: Pair, squares: Pair) -> float:
    """Give the mean seen so far, or 0 within a fifth of the spread of it: that costs no digit and saves two passes."""
    return 0.0 if num_pairs * mean[0] * mean[0] <= 0.04 * squares[0] else mean[0]


def _row_sums(predictions: AnyArray, targets: AnyArray, centres: tuple[float, float]) -> Float64:
    """Give seven sums for each row of a run: float64 [7, rows]; the last row is what the others leave."""
    start, num_left = 0, len(predictions)
    p, t = (np.empty(min(num_left, STEP_ROWS * STEP_COLUMNS)) for _ in range(2))
    sums: list[tuple[Float64, ...]] = []
    while num_left:
        rows = min(STEP_ROWS, num_left // STEP_COLUMNS)
        shape = (rows, STEP_COLUMNS) if rows else (1, num_left)
        size = shape[0] * shape[1]
        step, buffers = slice(start, start + size), (p[:size].reshape(shape), t[:size].reshape(shape))
        sums.append(_step_sums(predictions[step].reshape(shape), targets[step].reshape(shape), centres, *buffers))
        start, num_left = start + size, num_left - size
    return np.concatenate(sums, axis=1)


def _step_sums(
    predictions: AnyArray, targets: AnyArray, centres: tuple[float, float], p: Float64, t: Float64
) -> tuple[Float64, ...]:
    """Sum p, t, p p, t t, p t, squared and absolute errors along each row, in two buffers of the same shape."""
    np.copyto(p, predictions)
    np.copyto(t, targets)
    if centres == (0.0, 0.0):
        products = _products(p, t)
        return (*products, *_errors(p, t))
    errors = _errors(p, t)
    np.subtract(predictions, centres[0], out=p, dtype=np.float64)
    np.subtract(t, centres[1], out=t)
    return (*_products(p, t), *errors)


def _products(p: Float64, t: Float64) -> tuple[Float64, ...]:
    ones, dot = _ONES[: p.shape[1]], np.vecdot
    return dot(p, ones), dot(t, ones), dot(p, p), dot(t, t), dot(p, t)


def _errors(p: Float64, t: Float64) -> tuple[Float64, ...]:
    """Sum squared and absolute differences; ``p`` is overwritten."""
    np.subtract(p, t, out=p)
    squares = np.vecdot(p, p)
    np.abs(p, out=p)
    return squares, np.vecdot(p, _ONES[: p.shape[1]])


class _Centred(NamedTuple):
    """Differences of values to a centre near their mean, their sum and the sum of their squares."""

    centre: float
    differences: Float64
    rest: float
    squares: float


def _centred(values: Float64, centre: float) -> _Centred:
    """Centre on the mean seen so far, or on the values' own mean where that is too far off to keep every digit.

    Their own mean is taken around the first value: values all alike then have differences of exactly zero.
    """
    found = _around(values, centre)
    if found.rest * found.rest > 0.25 * len(values) * found.squares:
        found = _around(values, float(values[0] + (values - values[0]).mean()))
    return found


def _around(values: Float64, centre: float) -> _Centred:
    differences = values - centre
    return _Centred(centre, differences, float(differences.sum()), float(differences @ differences))


def _combined(a: _Moments, b: _Moments) -> _Moments:
    if a.num_pairs == 0 or b.num_pairs == 0:
        return a if b.num_pairs == 0 else b
    n = a.num_pairs + b.num_pairs
    weight, share = a.num_pairs * b.num_pairs / n, b.num_pairs / n
    step_prediction = difference(b.mean_prediction, a.mean_prediction)
    step_target = difference(b.mean_target, a.mean_target)
    return _Moments(
        num_pairs=n,
        mean_prediction=add(a.mean_prediction, step_prediction * share),
        mean_target=add(a.mean_target, step_target * share),
        prediction_squares=add(a.prediction_squares, *b.prediction_squares, step_prediction * step_prediction * weight),
        target_squares=add(a.target_squares, *b.target_squares, step_target * step_target * weight),
        products=add(a.products, *b.products, step_prediction * step_target * weight),
        squared_errors=add(a.squared_errors, *b.squared_errors),
        absolute_errors=add(a.absolute_errors, *b.absolute_errors),
    )
