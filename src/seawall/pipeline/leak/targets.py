"""Targets that the source brings: do they end when declared, and were they filled."""

import numpy as np

from seawall.arrays import Float64, Int64
from seawall.pipeline.leak.verdict import Check, judged
from seawall.stores.panel import Panel, TargetSpec

LONGEST_PERIODS = 60
"""Longest horizon looked for."""

MAX_DELAY_PERIODS = 3

SAMPLE_ROWS = 131_072
"""Rows of whole entities that are looked at."""

FLAT_SHARE = 0.002
"""A return repeated to the last bit on the next row is filled; real ones repeat where prices stand still, at 0."""


def check_targets(panel: Panel) -> Check:
    """Look at targets whose horizon was declared, not computed, and tell how long the numbers say it is."""
    leaks: list[str] = []
    checks: list[str] = []
    for number, spec in enumerate(panel.target_specs):
        if spec.kind not in ("column", "expression"):
            continue
        rows = _sample(panel)
        values = np.array(panel.returns[rows][:, number], np.float64)
        if (found := _as_return(panel, rows, values)) is not None:
            price, end = found
            if end > spec.horizon_periods + spec.delay_periods:
                leaks.append(f"target {spec.name} is the return of {price} up to {end} rows ahead; {_declared(spec)}")
        elif (span := _overlap(panel, rows, values, spec)) is not None:
            checks.append(
                f"target {spec.name}: values of neighbouring rows are as alike as targets over {span} rows; "
                f"{_declared(spec)}"
            )
        share = _repeated_share(panel, rows, values)
        if FLAT_SHARE < share < 0.5:
            checks.append(f"target {spec.name}: {share:.1%} of its values repeat the row before to the last bit")
    return judged("targets", "targets end when they are declared to", leaks=leaks, checks=checks)


def _declared(spec: TargetSpec) -> str:
    return f"declared are {spec.horizon_periods + spec.delay_periods}: train would reach into valid and test"


def _sample(panel: Panel) -> Int64:
    """Take the rows of the first entities, whole ones, up to 131,072."""
    stop = panel.offsets[np.searchsorted(panel.offsets, SAMPLE_ROWS, side="right") - 1]
    return np.arange(int(stop) if stop > 0 else min(SAMPLE_ROWS, panel.shape.num_rows))


def _as_return(panel: Panel, rows: Int64, values: Float64) -> tuple[str, int] | None:
    """Find the price column, delay and horizon whose returns the values are: (column, rows to its end)."""
    entities = panel.entity_of(rows)
    for number, name in enumerate(panel.names("prices")):
        price = np.array(panel.prices[rows][:, number]) / np.array(panel.adjustment[rows])
        for delay in range(MAX_DELAY_PERIODS + 1):
            for end in range(delay + 1, min(LONGEST_PERIODS, len(rows) - 1) + delay):
                if end < len(rows) and _agrees(values, price, entities, delay, end):
                    return name, end
    return None


def _agrees(values: Float64, price: Float64, entities: Int64, delay: int, end: int) -> bool:
    num = len(values) - end
    start = slice(delay, delay + num)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = price[end:] / price[start]
        same = (entities[end:] == entities[:num]) & np.isfinite(values[:num]) & np.isfinite(ratio)
        if same.sum() < 30:
            return False
        tolerance = 1e-6 + 1e-4 * np.abs(values[:num])
        simple = np.abs(values[:num] - (ratio - 1.0)) <= tolerance
        log = np.abs(values[:num] - np.log(ratio)) <= tolerance
    count = int(same.sum())
    return bool(max((simple & same).sum(), (log & same).sum()) > 0.9 * count)


def _overlap(panel: Panel, rows: Int64, values: Float64, spec: TargetSpec) -> int | None:
    """Find the horizon of sums over overlapping rows: their autocorrelation falls in a straight line to zero.

    None where it does not, or where the line ends within the declared horizon.
    """
    entities = panel.entity_of(rows)
    curve = np.array([_autocorrelation(values, entities, lag) for lag in range(1, LONGEST_PERIODS + 2)])
    low = np.flatnonzero(~(curve > 0.05))
    if len(low) == 0:
        return None
    span = int(low[0]) + 1
    line = 1.0 - np.arange(1, span + 1) / span
    far = curve[span - 1 : 2 * span]
    is_line = np.abs(curve[:span] - line).max() < 0.15 and np.abs(far).max() < 0.2
    return span if is_line and span > spec.horizon_periods + spec.delay_periods else None


def _autocorrelation(values: Float64, entities: Int64, lag: int) -> float:
    if len(values) <= lag:
        return float("nan")
    now, later = values[:-lag], values[lag:]
    both = (entities[:-lag] == entities[lag:]) & np.isfinite(now) & np.isfinite(later)
    if both.sum() < 250:
        return float("nan")
    return float(np.corrcoef(now[both], later[both])[0, 1])


def _repeated_share(panel: Panel, rows: Int64, values: Float64) -> float:
    entities = panel.entity_of(rows)
    both = (entities[:-1] == entities[1:]) & np.isfinite(values[:-1]) & np.isfinite(values[1:]) & (values[1:] != 0)
    return float((values[:-1] == values[1:])[both].mean()) if both.any() else 0.0
