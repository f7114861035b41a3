"""Features that know too much: they repeat the target, forecast it too well, or were prepared with all of history."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from seawall.arrays import AnyArray, Bool, Float64, Int64
from seawall.budget.heartbeat import Beat
from seawall.evaluate.leak import LEAK_DATES_MIN, LEAK_IC, LEAK_NAMES_MIN, lower_bound
from seawall.metrics import summarise_series
from seawall.pipeline.leak.verdict import Check, judged, not_run
from seawall.stores.panel import Panel
from seawall.train.config import TrainConfig

SUDDEN_IC = 0.05
"""A relation at least this sure which is gone one row later: news that was in the feature before it was out."""

SUDDEN_SHARE = 0.2

REPEATED = 1.0 - 1e-9
"""A correlation over all rows that only a copy of the target has, in any unit."""

RETURNS = ("column", "expression")
"""Kinds that may be returns beside those that end with the word; told from levels by their autocorrelation."""


class _Daily(NamedTuple):
    """float64 [T, F] IC of each date with features of the row, and of the row before; int64 [T] names."""

    now: Float64
    before: Float64
    num_names: Int64


def check_suspects(panel: Panel, config: TrainConfig, beat: Beat) -> Check:
    """Judge each feature by its daily IC with the target, over all dates and over stretches of them.

    Only for targets that are returns, over 250 dates with a median of 30 names; a copy of the target is found anywhere.
    Memory is 16 bytes x dates x features, and one date.
    """
    names = list(config.features or panel.names("features"))
    columns = [panel.column_index("features", name) for name in names]
    target = panel.column_index("targets", config.target)
    pooled = _pooled(panel, columns, target)
    leaks = [
        f"feature {name} is the target itself, in its unit or another"
        for name, value in zip(names, pooled, strict=True)
        if abs(value) > REPEATED
    ]
    spec = panel.target_specs[target]
    if not (spec.kind.endswith("return") or (spec.kind in RETURNS and _is_return_like(panel, target))):
        return judged("features", f"no copy of the target (IC not judged: a {spec.kind} is no return)", leaks=leaks)
    daily = _daily(panel, columns, target, beat)
    median = float(np.median(daily.num_names)) if len(daily.num_names) else 0.0
    if len(daily.now) < LEAK_DATES_MIN or median < LEAK_NAMES_MIN:
        why = f"{len(daily.now)} dates, {median:.0f} names: IC needs {LEAK_DATES_MIN} and {LEAK_NAMES_MIN}"
        return judged("features", "", leaks=leaks) if leaks else not_run("features", why)
    horizon = spec.horizon_periods
    checks = [
        reason
        for place, name in enumerate(names)
        for reason in _reasons(name, daily.now[:, place], daily.before[:, place], horizon)
    ]
    return judged("features", f"no feature of {len(names)} forecasts suspiciously well", leaks=leaks, checks=checks)


def _reasons(name: str, now: Float64, before: Float64, horizon: int) -> Iterator[str]:
    stretches = {"all dates": slice(None)}
    size = max(LEAK_DATES_MIN, len(now) // 4)
    if len(now) >= 2 * LEAK_DATES_MIN:
        stretches |= {f"dates {start} to {start + size}": slice(start, start + size) for start in _starts(now, size)}
    for where, part in stretches.items():
        bound = _bound(now[part], horizon)
        if bound > LEAK_IC:
            yield f"feature {name}: |IC| is above {bound:.2f} with 95 % confidence over {where}"
            return
    bound, lagged = _bound(now, horizon), abs(summarise_series(before, horizon).mean)
    if bound > SUDDEN_IC and lagged < SUDDEN_SHARE * bound:
        yield f"feature {name}: |IC| is above {bound:.2f}, and {lagged:.3f} with the feature of one row before"


def _starts(series: Float64, size: int) -> list[int]:
    return [*range(0, len(series) - size, size), len(series) - size]


def _bound(series: Float64, horizon: int) -> float:
    """Give the lower 95 % bound of the size of the mean; -1 where undefined."""
    summary = summarise_series(series, horizon)
    if not abs(summary.mean) > 0:
        return -1.0
    bound = lower_bound(summarise_series(series if summary.mean > 0 else -series, horizon))
    return bound if np.isfinite(bound) else -1.0


def _is_return_like(panel: Panel, target: int) -> bool:
    """Tell returns from levels: what is known of one date says little of the next but where targets overlap."""
    spec = panel.target_specs[target]
    lag = spec.horizon_periods + spec.delay_periods
    rows = np.arange(min(panel.shape.num_rows, 131_072))
    values, entities = np.array(panel.returns[rows][:, target]), panel.entity_of(rows)
    if len(values) <= lag:
        return False
    both = (entities[lag:] == entities[:-lag]) & np.isfinite(values[lag:]) & np.isfinite(values[:-lag])
    return bool(both.sum() >= 250 and abs(np.corrcoef(values[lag:][both], values[:-lag][both])[0, 1]) < 0.5)


def _daily(panel: Panel, columns: list[int], target: int, beat: Beat) -> _Daily:
    num_dates = panel.shape.num_dates
    now, before = np.full((2, num_dates, len(columns)), np.nan)
    num_names = np.zeros(num_dates, np.int64)
    for date in range(num_dates):
        rows = np.asarray(panel.by_time[int(panel.time_offsets[date]) : int(panel.time_offsets[date + 1])])
        rows = rows[panel.universe[rows]]
        y = np.array(panel.returns[rows][:, target], np.float64)
        known = np.isfinite(y)
        rows, y = rows[known], y[known]
        num_names[date] = len(rows)
        if len(rows) >= 2:
            now[date] = _correlations(np.array(panel.features[rows][:, columns], np.float64), y)
            has_before = rows > panel.offsets[panel.entity_of(rows)]
            earlier = np.array(panel.features[np.maximum(rows - 1, 0)][:, columns], np.float64)
            earlier[~has_before] = np.nan
            before[date] = _correlations(earlier, y)
        beat("IC of features", date + 1, num_dates)
    some = num_names >= 2
    return _Daily(now[some], before[some], num_names[some])


def _correlations(x_NF: Float64, y_N: Float64) -> Float64:
    """Correlate each column with y over the rows it has; NaN below 3 rows or without variance."""
    has: Bool = np.isfinite(x_NF)
    count = np.maximum(has.sum(axis=0), 1)
    x = np.where(has, x_NF, 0.0)
    x = np.where(has, x - x.sum(axis=0) / count, 0.0)
    largest = np.abs(x).max(axis=0, initial=0.0)
    x /= np.where(largest > 0, largest, 1.0)
    y = np.where(has, y_N[:, None], 0.0)
    y = np.where(has, y - y.sum(axis=0) / count, 0.0)
    y /= max(float(np.abs(y).max(initial=0.0)), 1e-300)
    spread = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    found: Float64 = np.full(x.shape[1], np.nan)
    np.divide((x * y).sum(axis=0), spread, out=found, where=(spread > 0) & (count >= 3))
    return found


def _pooled(panel: Panel, columns: list[int], target: int) -> list[float]:
    """Correlate each feature with the target over the rows of the first 131,072 that have both."""
    rows = np.arange(min(panel.shape.num_rows, 131_072))
    y = np.array(panel.targets[rows][:, target], np.float64)
    known = np.isfinite(y)
    found: list[float] = []
    for column in columns:
        x: AnyArray = np.array(panel.features[rows][:, column], np.float64)
        both = known & np.isfinite(x)
        varied = both.sum() >= 30 and np.ptp(x[both]) > 0 and np.ptp(y[both]) > 0
        found.append(float(np.corrcoef(x[both], y[both])[0, 1]) if varied else 0.0)
    return found
