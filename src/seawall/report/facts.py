"""Facts that several parts of the page speak about, each derived from records in one place."""

from seawall.report.fields import Fields
from seawall.report.records import RunRecords, Strategy, Unit
from seawall.report.series import annual_cost

LEVEL = 0.05
"""Significance level the page speaks about."""


def is_distinguishable(ic: Fields) -> bool | None:
    """Tell whether a mean IC differs from zero at 5 % by ``t_hac``; None where that is undefined."""
    p = ic.number("p_hac")
    return None if p is None else p < LEVEL


def verdict(ic: Fields) -> str:
    """Say in words what ``t_hac`` of a mean IC means."""
    distinguishable, mean = is_distinguishable(ic), ic.number("mean")
    if distinguishable is None or mean is None:
        return "too few dates to test"
    if not distinguishable:
        return "not distinguishable from zero at 5 %"
    return "distinguishable from zero at 5 %" if mean > 0 else "distinguishable from zero at 5 %, with the wrong sign"


def model_name(run: RunRecords) -> str:
    """Name the model in words, from the model records or else from the configuration."""
    configured = Fields(dict(run.config)).part("train").part("model")
    recorded = [training.model for training in run.trainings]
    for fields in [*recorded, *(fields.part("model") for fields in recorded), configured]:
        for key in ("name", "kind", "model"):
            if name := fields.text(key):
                return name.replace("_", " ").replace("lstm", "LSTM")
    return "A model"


def best_strategy(run: RunRecords) -> Strategy | None:
    """Find the strategy with the highest annual return after costs."""
    defined = [strategy for strategy in run.strategies if strategy.statistics.number("annual_return") is not None]
    return max(defined, key=lambda strategy: strategy.statistics.number("annual_return") or 0.0, default=None)


def cost_drag(strategy: Strategy) -> float | None:
    """Compute what trading cost the strategy a year, as a fraction of equity."""
    if strategy.equity is None:
        return None
    curve = strategy.equity
    return annual_cost(curve.gross_return, curve.period_return, strategy.statistics.number("periods_per_year"))


def peak_unit(run: RunRecords) -> Unit | None:
    """Find the unit with the highest measured memory, its parent included."""
    measured = [unit for unit in run.units if unit.measured_total_bytes is not None]
    return max(measured, key=lambda unit: unit.measured_total_bytes or 0.0, default=None)


def peak_bytes(run: RunRecords) -> float | None:
    """Give the most the run held at once: parent and every unit that ran side by side; None where nothing is measured.

    A unit's own marks are sampled more often than the timeline is written, so the larger of both is told.
    """
    unit = peak_unit(run)
    marks = [] if unit is None or unit.measured_total_bytes is None else [unit.measured_total_bytes]
    if run.timeline is not None and len(run.timeline.total_bytes):
        marks.append(float(run.timeline.total_bytes.max()))
    return max(marks, default=None)


def exceeds_projection(unit: Unit) -> bool:
    """Tell whether a unit used more private memory than its plan promised."""
    projected, measured = unit.projected_private_bytes, unit.measured_private_bytes
    return projected is not None and measured is not None and measured > projected


def exceeds_budget(unit: Unit) -> bool:
    """Tell whether a unit and its parent used more private memory than was declared."""
    return unit.declared_bytes is not None and (unit.measured_total_bytes or 0.0) > unit.declared_bytes


def num_unmatched(coverage: Fields) -> int:
    """Count predictions without a forward return."""
    rows, matched = coverage.count("num_rows"), coverage.count("num_matched")
    return 0 if rows is None or matched is None else rows - matched
