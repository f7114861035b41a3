"""Rolling statistics of all windows at once: each window is merged from shorter ones, so no sum ever drifts.

An array of ``m`` dense positions gives ``m - d + 1`` windows of ``d`` rows, aligned at the end: window ``j`` ends at
position ``j + d - 1``. Missing values are NaN; a statistic is over the values that are there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from seawall.arrays import AnyArray, Bool, Float32, Float64, Int64

State = TypeVar("State")


def plan_steps(windows: Sequence[int]) -> list[tuple[int, int, int]]:
    """Find how each window is merged from two shorter ones: (newer rows, older rows, rows in all).

    Powers of two are made until a window can be put together; the last steps give exactly the windows asked for.
    """
    have, steps = [1], []
    for window in sorted(windows):
        while window not in have:
            newer = have[-1]
            rest = window - newer
            older = max(rows for rows in have if rows <= rest)
            steps.append((newer, older, newer + older))
            have.append(newer + older)
    return steps


def merge_windows(
    single: State, windows: Sequence[int], merge: Callable[[State, State, int], State]
) -> Iterator[tuple[int, State]]:
    """Give the state of each window in rising order, merged from those of its newer and older part."""
    states: dict[int, State] = {1: single}
    steps = plan_steps(windows)
    for place, (newer, older, rows) in enumerate(steps):
        states[rows] = merge(states[newer], states[older], newer)
        if rows in windows:
            yield rows, states[rows]
        still_used = {part for step in steps[place + 1 :] for part in step[:2]}
        for unused in set(states) - still_used:
            del states[unused]


def aligned(newer: AnyArray, older: AnyArray, shift: int) -> tuple[AnyArray, AnyArray]:
    """Cut both parts to the windows both have: the older part ends ``shift`` rows before the newer one does.

    ``newer`` has windows of ``shift`` rows.
    """
    ends = len(older) - shift
    return newer[len(newer) - ends :], older[:ends]


def rolling_sums(values: Float64, windows: Sequence[int]) -> Iterator[tuple[int, Float64]]:
    """Sum each window; missing values must be zero already."""
    return merge_windows(values, windows, lambda newer, older, shift: np.add(*aligned(newer, older, shift)))


def rolling_max(values: AnyArray, windows: Sequence[int]) -> Iterator[tuple[int, AnyArray]]:
    """Find the largest value of each window; NaN where there is none."""
    return merge_windows(values, windows, lambda newer, older, shift: np.fmax(*aligned(newer, older, shift)))


def rolling_min(values: AnyArray, windows: Sequence[int]) -> Iterator[tuple[int, AnyArray]]:
    """Find the smallest value of each window; NaN where there is none."""
    return merge_windows(values, windows, lambda newer, older, shift: np.fmin(*aligned(newer, older, shift)))


@dataclass(frozen=True, slots=True)
class Spread:
    """Count, mean and sum of squared deviations of each window."""

    count: Float64
    mean: Float64
    squares: Float64

    @property
    def std(self) -> Float64:
        """Standard deviation with ddof 1; NaN below two values."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.count > 1, np.sqrt(self.squares / (self.count - 1)), np.nan)

    @property
    def known_mean(self) -> Float64:
        """Mean, NaN where there is no value."""
        return np.where(self.count > 0, self.mean, np.nan)


def rolling_spread(values: AnyArray, windows: Sequence[int]) -> Iterator[tuple[int, Spread]]:
    """Merge count, mean and squared deviations (Chan, Golub and LeVeque 1979): exact where naive sums cancel."""
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0).astype(np.float64)
    return merge_windows(Spread(there.astype(np.float64), filled, np.zeros(len(values))), windows, _merge_spread)


def _merge_spread(newer: Spread, older: Spread, shift: int) -> Spread:
    n_new, n_old = aligned(newer.count, older.count, shift)
    mean_new, mean_old = aligned(newer.mean, older.mean, shift)
    squares_new, squares_old = aligned(newer.squares, older.squares, shift)
    count = n_new + n_old
    share = n_old / np.maximum(count, 1.0)
    step = mean_old - mean_new
    return Spread(count, mean_new + step * share, squares_new + squares_old + step * step * (n_new * share))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Joint moments of two series over the rows where both are there."""

    count: Float64
    mean_x: Float64
    mean_y: Float64
    xx: Float64
    xy: Float64
    yy: Float64

    @property
    def correlation(self) -> Float64:
        """Pearson correlation; NaN below two rows or without variance."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found = self.xy / np.sqrt(self.xx * self.yy)
        return np.where((self.count > 1) & np.isfinite(found), found, np.nan)


def rolling_pairs(x: AnyArray, y: AnyArray, windows: Sequence[int]) -> Iterator[tuple[int, Pairs]]:
    """Merge the joint moments of two series."""
    there = ~(np.isnan(x) | np.isnan(y))
    x, y = (np.where(there, values, 0.0).astype(np.float64) for values in (x, y))
    zero = np.zeros(len(x))
    return merge_windows(Pairs(there.astype(np.float64), x, y, zero, zero, zero), windows, _merge_pairs)


def rolling_trend(y: AnyArray, windows: Sequence[int]) -> Iterator[tuple[int, Pairs]]:
    """Merge the joint moments of a series with its place in the window: x is 0 at the last row, -1 before it, ... ."""
    there = ~np.isnan(y)
    zero = np.zeros(len(y))
    single = Pairs(there.astype(np.float64), zero, np.where(there, y, 0.0).astype(np.float64), zero, zero, zero)
    return merge_windows(single, windows, _merge_trend)


def _merge_trend(newer: Pairs, older: Pairs, shift: int) -> Pairs:
    moved = Pairs(older.count, older.mean_x - shift, older.mean_y, older.xx, older.xy, older.yy)
    return _merge_pairs(newer, moved, shift)


def _merge_pairs(newer: Pairs, older: Pairs, shift: int) -> Pairs:
    n_new, n_old = aligned(newer.count, older.count, shift)
    x_new, x_old = aligned(newer.mean_x, older.mean_x, shift)
    y_new, y_old = aligned(newer.mean_y, older.mean_y, shift)
    count = n_new + n_old
    share = n_old / np.maximum(count, 1.0)
    weight = n_new * share
    step_x, step_y = x_old - x_new, y_old - y_new
    return Pairs(
        count,
        x_new + step_x * share,
        y_new + step_y * share,
        np.add(*aligned(newer.xx, older.xx, shift)) + step_x * step_x * weight,
        np.add(*aligned(newer.xy, older.xy, shift)) + step_x * step_y * weight,
        np.add(*aligned(newer.yy, older.yy, shift)) + step_y * step_y * weight,
    )


@dataclass(frozen=True, slots=True)
class Place:
    """The largest value of each window and how many rows ago it was."""

    value: Float32
    age: Float32


def rolling_place(values: Float32, windows: Sequence[int]) -> Iterator[tuple[int, Place]]:
    """Find how many rows ago the largest value of each window was; of equal ones the oldest."""
    return merge_windows(Place(values, np.zeros(len(values), np.float32)), windows, _merge_place)


def _merge_place(newer: Place, older: Place, shift: int) -> Place:
    value_new, value_old = aligned(newer.value, older.value, shift)
    age_new, age_old = aligned(newer.age, older.age, shift)
    is_older = value_old >= value_new
    return Place(np.where(is_older, value_old, value_new), np.where(is_older, age_old + np.float32(shift), age_new))


def rolling_quantiles(
    values: Float32, count: Float64, rows: int, levels: Sequence[float]
) -> Iterator[tuple[float, Float64]]:
    """Give linear quantiles of each window of ``rows`` rows, which hold ``count`` values; NaN sorts to the end."""
    ordered = np.sort(np.lib.stride_tricks.sliding_window_view(values, rows), axis=1)
    begin = np.arange(len(ordered), dtype=np.int64) * rows
    flat = ordered.reshape(-1)
    last = np.maximum(count - 1.0, 0.0)
    for level in levels:
        place = level * last
        low: Int64 = place.astype(np.int64)
        below = flat[begin + low].astype(np.float64)
        above = flat[begin + np.minimum(low + 1, last.astype(np.int64))]
        yield level, below + (above - below) * (place - low)


def rolling_ranks(values: Float32, windows: Sequence[int]) -> Iterator[tuple[int, Float32]]:
    """Count, for each window, the values below the last one and half of those equal to it; itself left out."""
    longest = max(windows)
    last = values[longest - 1 :]
    below, equal = np.zeros(len(last), np.uint8), np.zeros(len(last), np.uint8)
    hit: Bool = np.empty(len(last), np.bool_)
    for ago in range(1, longest):
        earlier = values[longest - 1 - ago : len(values) - ago]
        below += np.less(earlier, last, out=hit).view(np.uint8)
        equal += np.equal(earlier, last, out=hit).view(np.uint8)
        if ago + 1 in windows:
            yield ago + 1, below + equal * np.float32(0.5)


def exponential_mean(values: AnyArray, span: float, rows: int) -> Float64:
    """Average the last ``rows`` values (a power of two) with weights falling by 1 - 2 / (span + 1) a row.

    Weights of missing values are left out. Equal to pandas ``ewm(span=span).mean()`` up to the weights beyond ``rows``.
    """
    there = ~np.isnan(values)
    total, weight = np.where(there, values, 0.0).astype(np.float64), there.astype(np.float64)
    decay, width = 1.0 - 2.0 / (span + 1.0), 1
    while width < rows:
        total, weight = (part[width:] + decay**width * part[:-width] for part in (total, weight))
        width *= 2
    averages: Float64 = np.full(len(total), np.nan)
    np.divide(total, weight, out=averages, where=weight > 0)
    return averages
