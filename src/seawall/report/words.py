"""Numbers and findings in words. An undefined number is written ``undefined``, never 0."""

from collections.abc import Iterator
from dataclasses import dataclass

from seawall.report.fields import Fields
from seawall.report.records import RunRecords, Strategy, Unit
from seawall.report.series import annual_cost
from seawall.units import format_bytes, format_seconds

UNDEFINED = "undefined"
LEVEL = 0.05
"""Significance level the page speaks about."""


def decimal(value: float | None, digits: int = 4) -> str:
    """Write a number with fixed digits and a true minus sign."""
    return UNDEFINED if value is None else f"{value:,.{digits}f}".replace("-", "−")


def significant(value: float | None, digits: int = 4) -> str:
    """Write a number of unknown size with so many significant digits."""
    return UNDEFINED if value is None else f"{value:,.{digits}g}".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """Write a fraction as per cent."""
    return UNDEFINED if value is None else f"{100 * value:,.{digits}f} %".replace("-", "−")


def whole(value: float | None) -> str:
    """Write a count."""
    return UNDEFINED if value is None else f"{int(value):,}".replace("-", "−")


def size(value: float | None) -> str:
    """Write bytes in binary units."""
    return UNDEFINED if value is None else format_bytes(value)


def duration(value: float | None) -> str:
    """Write seconds the way people say them."""
    return UNDEFINED if value is None else format_seconds(value)


def probability(value: float | None) -> str:
    """Write a p value; tiny ones as a bound."""
    if value is None:
        return UNDEFINED
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def when(value: str | int | None) -> str:
    """Write a time: midnight as a date alone, an integer step as it is."""
    if value is None:
        return UNDEFINED
    text = str(value)
    day, _, clock = text.partition("T")
    return day if not clock.strip("0:.Z+") else text


def times(count: int, noun: str) -> str:
    """Write a count with its noun, in the plural where it must be: ``1 fold``, ``4 folds``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"


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


@dataclass(frozen=True, slots=True)
class Finding:
    """A question of the summary, its answer in one line, and the numbers behind it."""

    question: str
    answer: str
    details: tuple[str, ...]


def findings(run: RunRecords) -> tuple[Finding, ...]:
    """Answer the four questions of the summary: what was trained, does it predict, what would it earn, did memory hold."""
    return _trained(run), _predicts(run), _earned(run), _memory(run)


def model_name(run: RunRecords) -> str:
    """Name the model in words, from the model records or else from the configuration."""
    configured = Fields(dict(run.config)).part("train").part("model")
    recorded = [training.model for training in run.trainings]
    for fields in [*recorded, *(fields.part("model") for fields in recorded), configured]:
        for key in ("name", "kind", "model"):
            if name := fields.text(key):
                return name.replace("_", " ").replace("lstm", "LSTM")
    return "model"


def _trained(run: RunRecords) -> Finding:
    question = "What was trained?"
    if not run.folds and not run.trainings:
        return Finding(question, "Nothing yet: the run has no folds and no trained models.", ())
    num_trained = len(run.trainings)
    models = (
        f"{num_trained:,} of {len(run.folds):,} folds trained"
        if num_trained < len(run.folds)
        else times(num_trained, "walk-forward fold")
    )
    answer = f"{model_name(run)}, {models}"
    details = []
    if run.panel is not None:
        panel = run.panel
        span = _span(run)
        details.append(
            f"Panel {panel.name}: {whole(panel.num_entities)} entities, {whole(panel.num_dates)} dates{span}, "
            f"{whole(panel.num_rows)} rows, {times(len(panel.features), 'feature')}."
        )
    if target := run.metrics.text("target"):
        horizon = run.metrics.count("horizon_periods")
        ahead = f", {times(horizon, 'period')} ahead" if horizon is not None else ""
        details.append(f"It predicts {target}{ahead}.")
    return Finding(question, answer, tuple(details))


def _span(run: RunRecords) -> str:
    first, last = run.ingest.text("first_time"), run.ingest.text("last_time")
    return f" from {when(first)} to {when(last)}" if first and last else ""


def _predicts(run: RunRecords) -> Finding:
    question = "Does it predict?"
    if run.overall is None:
        return Finding(question, "Not evaluated yet.", ())
    rank_ic, mean = run.overall.rank_ic, run.overall.rank_ic.number("mean")
    distinguishable = is_distinguishable(rank_ic)
    if distinguishable is None or mean is None:
        answer = "Undefined: too few dates to test."
    elif not distinguishable:
        answer = "Not proven: its Rank IC cannot be told from zero."
    else:
        answer = "Yes, by Rank IC." if mean > 0 else "Yes, but with the wrong sign: what it ranks high does worse."
    details = tuple(
        f"Mean {name} {decimal(ic.number('mean'))} over {whole(ic.count('num_dates'))} test dates: t_hac = {decimal(ic.number('t_hac'), 2)}, "
        f"p {_equals(probability(ic.number('p_hac')))}, {verdict(ic)}."
        for name, ic in (("Rank IC", rank_ic), ("IC", run.overall.ic))
    )
    return Finding(question, answer, details)


def _equals(text: str) -> str:
    return text if text.startswith("<") else f"= {text}"


def cost_drag(strategy: Strategy) -> float | None:
    """Compute what trading cost the strategy a year, as a fraction of equity."""
    if strategy.equity is None:
        return None
    curve = strategy.equity
    return annual_cost(curve.gross_return, curve.period_return, strategy.statistics.number("periods_per_year"))


def best_strategy(run: RunRecords) -> Strategy | None:
    """Find the strategy with the highest annual return after costs."""
    defined = [strategy for strategy in run.strategies if strategy.statistics.number("annual_return") is not None]
    return max(defined, key=lambda strategy: strategy.statistics.number("annual_return") or 0.0, default=None)


def _earned(run: RunRecords) -> Finding:
    question = "What would it have earned?"
    if not run.strategies:
        return Finding(question, "No backtest yet.", ())
    returns = [strategy.statistics.number("annual_return") for strategy in run.strategies]
    defined = [value for value in returns if value is not None]
    if not defined:
        answer = "Undefined: no strategy has a return."
    elif len(defined) == 1:
        answer = f"{percent(defined[0])} a year after costs."
    else:
        answer = f"{percent(min(defined))} to {percent(max(defined))} a year after costs."
    return Finding(question, answer, tuple(_strategy_sentence(strategy) for strategy in run.strategies))


def _strategy_sentence(strategy: Strategy) -> str:
    numbers = strategy.statistics
    return (
        f"{strategy.name}: {percent(numbers.number('annual_return'))} a year, Sharpe {decimal(numbers.number('sharpe'), 2)}, "
        f"worst drawdown {percent(numbers.number('max_drawdown'))}, turnover {decimal(numbers.number('annual_turnover'), 1)} × equity a year, "
        f"costs took {percent(cost_drag(strategy))} of equity a year."
    )


def _memory(run: RunRecords) -> Finding:
    question = "Did memory hold?"
    declared, highest = run.declared_bytes, peak_unit(run)
    if declared is None or highest is None:
        return Finding(question, "No measured unit yet.", ())
    measured = highest.measured_total_bytes or 0.0
    stayed = "Stayed inside" if measured <= declared else "Went over"
    projected = max((unit.projected_private_bytes or 0.0 for unit in run.units), default=0.0)
    over = [unit for unit in run.units if exceeds_projection(unit)]
    held = (
        "no unit used more than was projected for it"
        if not over
        else f"{times(len(over), 'unit')} used more than projected"
    )
    return Finding(
        question,
        f"{stayed}: {size(measured)} of {size(declared)}.",
        (
            f"Highest projected {size(projected)}, highest measured {size(highest.measured_private_bytes)} in {highest.name}, "
            f"and {size(highest.parent_private_bytes)} in the waiting parent; {held}.",
        ),
    )


def peak_unit(run: RunRecords) -> Unit | None:
    """Find the unit with the highest measured memory, its parent included."""
    measured = [unit for unit in run.units if unit.measured_total_bytes is not None]
    return max(measured, key=lambda unit: unit.measured_total_bytes or 0.0, default=None)


def exceeds_projection(unit: Unit) -> bool:
    """Tell whether a unit used more private memory than its plan promised."""
    projected, measured = unit.projected_private_bytes, unit.measured_private_bytes
    return projected is not None and measured is not None and measured > projected


def warnings(run: RunRecords) -> tuple[str, ...]:
    """List what a careful reader must know before believing the numbers: what stages warned of, and what the records show."""
    return tuple(dict.fromkeys((*_recorded_warnings(run), *_memory_warnings(run), *_gap_warnings(run))))


def _recorded_warnings(run: RunRecords) -> Iterator[str]:
    for fields in (run.metrics, *(unit.summary for unit in run.units), run.coverage):
        yield from fields.texts("warnings")
        yield from fields.texts("leak_warning")
        if fields.values.get("leak_warning") is True:
            yield "The daily IC is suspiciously high: check that no feature knows the future."


def _memory_warnings(run: RunRecords) -> Iterator[str]:
    for unit in run.units:
        if exceeds_projection(unit):
            yield f"{unit.name} used {size(unit.measured_private_bytes)}, more than the {size(unit.projected_private_bytes)} projected."
        if unit.declared_bytes is not None and (unit.measured_total_bytes or 0.0) > unit.declared_bytes:
            yield f"{unit.name} and its parent used {size(unit.measured_total_bytes)}, more than the {size(unit.declared_bytes)} declared."


def _gap_warnings(run: RunRecords) -> Iterator[str]:
    undefined = (run.overall.rank_ic.count("num_undefined") if run.overall else None) or 0
    if undefined:
        yield f"Rank IC is undefined on {times(undefined, 'test date')} (too few names, or no variance); they are left out, not counted as 0."
    if unmatched := num_unmatched(run.coverage):
        yield f"Forward return undefined for {times(unmatched, 'prediction')}: left out of the metrics, not counted as 0."
    for strategy in run.strategies:
        if rejected := strategy.statistics.count("num_rejected"):
            yield f"{strategy.name}: {times(rejected, 'order')} could not be filled because the name had no price to trade at."


def num_unmatched(coverage: Fields) -> int:
    """Count predictions without a forward return."""
    rows, matched = coverage.count("num_rows"), coverage.count("num_matched")
    return 0 if rows is None or matched is None else rows - matched
