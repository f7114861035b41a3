"""Six questions every reader has, answered in sentences computed from records."""

from dataclasses import dataclass

from seawall.report.facts import (
    cost_drag,
    exceeds_budget,
    exceeds_projection,
    is_distinguishable,
    model_name,
    peak_bytes,
    peak_unit,
    verdict,
)
from seawall.report.fields import Fields
from seawall.report.records import PanelFacts, RunRecords, Strategy
from seawall.report.trust import trust_answer, trust_details
from seawall.report.verdicts import verdicts
from seawall.report.words import decimal, duration, percent, probability, size, times, when, whole


@dataclass(frozen=True, slots=True)
class Finding:
    """A question, its answer in one line, and the numbers behind it."""

    question: str
    answer: str
    details: tuple[str, ...] = ()


def findings(run: RunRecords) -> tuple[Finding, ...]:
    """Answer what was trained, when, whether it predicts and earns, whether to trust it, and whether memory held."""
    trusted = Finding("Can it be trusted?", trust_answer(run), trust_details(run))
    return _trained(run), _when(run), _predicts(run), _earned(run), trusted, _memory(run)


def _when(run: RunRecords) -> Finding:
    question = "When?"
    ends = [unit.finished for unit in run.units if unit.finished]
    if not ends:
        return Finding(question, "No unit has ended yet.")
    wall = sum(unit.wall_seconds or 0.0 for unit in run.units)
    cpu = sum(unit.cpu_seconds or 0.0 for unit in run.units)
    day, _, clock = max(ends).partition("T")
    details = [f"{times(len(run.units), 'unit')} of work took {duration(wall)}, {duration(cpu)} of them CPU."]
    first, last = run.ingest.text("first_time"), run.ingest.text("last_time")
    if first and last:
        details.append(f"The data go from {when(first)} to {when(last)}.")
    return Finding(question, f"Finished {day} {clock[:5]} UTC", tuple(details))


def _trained(run: RunRecords) -> Finding:
    question = "What was trained?"
    if not run.folds and not run.trainings:
        return Finding(question, "Nothing yet: the run has no folds and no trained models.")
    num_trained, num_folds = len({training.fold for training in run.trainings}), len(run.folds)
    kind = "combinatorial fold" if run.is_combinatorial else "walk-forward fold"
    folds = times(num_trained, kind)
    if num_trained < num_folds:
        folds = f"{num_trained:,} of {times(num_folds, kind)} so far"
    details = [_panel_sentence(run.panel)] if run.panel is not None else []
    if target := run.metrics.text("target"):
        horizon = run.metrics.count("horizon_periods")
        details.append(f"It predicts {target}" + (f", {times(horizon, 'period')} ahead." if horizon else "."))
    name = model_name(run)
    return Finding(question, f"{name[:1].upper()}{name[1:]}, {folds}", tuple(details))


def _panel_sentence(panel: PanelFacts) -> str:
    counts = f"{whole(panel.num_entities)} entities, {whole(panel.num_dates)} dates, {whole(panel.num_rows)} rows"
    return f"Panel {panel.name}: {counts}, {times(len(panel.features), 'feature')}."


def _predicts(run: RunRecords) -> Finding:
    question = "Does it predict?"
    if run.overall is None:
        return Finding(question, "Not evaluated yet.")
    rank_ic, ic = run.overall.rank_ic, run.overall.ic
    sentences = _ic_sentence("Rank IC", rank_ic), _ic_sentence("IC", ic)
    return Finding(question, _answer(rank_ic), (*sentences, *verdicts(run)))


def _answer(rank_ic: Fields) -> str:
    distinguishable, mean = is_distinguishable(rank_ic), rank_ic.number("mean")
    if distinguishable is None or mean is None:
        return "Undefined: too few dates to test."
    if not distinguishable:
        return "Not proven: its Rank IC cannot be told from zero."
    return "Yes, by Rank IC." if mean > 0 else "Wrongly: what it ranks high does worse."


def _ic_sentence(name: str, ic: Fields) -> str:
    p = probability(ic.number("p_hac"))
    test = f"t_hac = {decimal(ic.number('t_hac'), 2)}, p {p if p.startswith('<') else f'= {p}'}"
    dates = whole(ic.number("num_dates"))
    return f"Mean {name} {decimal(ic.number('mean'))} over {dates} test dates: {test}, {verdict(ic)}."


def _earned(run: RunRecords) -> Finding:
    question = "What would it have earned?"
    if not run.strategies:
        return Finding(question, run.why_untraded or "No backtest yet.")
    returns = [strategy.statistics.number("annual_return") for strategy in run.strategies]
    defined = sorted(value for value in returns if value is not None)
    if not defined:
        answer = "Undefined: no strategy has a return."
    else:
        span = " to ".join(dict.fromkeys((percent(defined[0]), percent(defined[-1]))))
        answer = f"{'A loss: ' if defined[-1] < 0 else ''}{span} a year after costs."
    return Finding(question, answer, tuple(_strategy_sentence(strategy) for strategy in run.strategies))


def _strategy_sentence(strategy: Strategy) -> str:
    numbers = strategy.statistics
    result = f"{percent(numbers.number('annual_return'))} a year, Sharpe {decimal(numbers.number('sharpe'), 2)}"
    risk = f"worst drawdown {percent(numbers.number('max_drawdown'))}"
    turnover = f"turnover {decimal(numbers.number('annual_turnover'), 1)} × equity a year"
    return f"{strategy.name}: {result}, {risk}, {turnover}, costs {percent(cost_drag(strategy))} of equity a year."


def _memory(run: RunRecords) -> Finding:
    question = "Did memory hold?"
    declared, peak, used = run.declared_bytes, peak_unit(run), peak_bytes(run)
    if declared is None or peak is None or used is None:
        return Finding(question, "No unit has been measured yet.")
    went_over = used > declared or any(exceeds_budget(unit) for unit in run.units)
    stayed = "Went over" if went_over else "Stayed inside"
    projected = max((unit.projected_private_bytes or 0.0 for unit in run.units), default=0.0)
    num_over = sum(exceeds_projection(unit) for unit in run.units)
    held = (
        f"{times(num_over, 'unit')} used more than projected" if num_over else "every unit stayed under its projection"
    )
    measured = f"highest measured {size(peak.measured_private_bytes)} in {peak.name}"
    details: tuple[str, ...] = (
        f"Declared {size(declared)}, highest projected {size(projected)}, {measured}.",
        f"The waiting parent held {size(peak.parent_private_bytes)} beside it; {held}.",
    )
    if used > (peak.measured_total_bytes or 0.0):
        details = (*details, f"Units that ran side by side held {size(used)} together, parent included.")
    return Finding(question, f"{stayed}: {size(used)} of {size(declared)}.", details)
