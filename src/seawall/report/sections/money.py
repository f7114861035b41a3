"""What the strategies would have earned after costs."""

from collections.abc import Iterable, Sequence

from seawall.report import captions
from seawall.report.charts_money import equity_chart, months_chart
from seawall.report.markup import Html, Section, figure, missing, note, section, table
from seawall.report.records import RunRecords, Strategy
from seawall.report.sections.money_rows import STATISTICS, UNTRADED, YEARS_HEADER, year_row
from seawall.report.words import UNDEFINED

MAX_YEARS = 240
"""Rows of years, of all strategies together, that are drawn and listed: keeps the page small."""


def money_section(run: RunRecords) -> Section:
    """Show equity and drawdown of every strategy, its statistics, and the rules and costs it was run with."""
    if not run.strategies:
        parts = [missing(run.why_untraded or "There is no backtest in this run yet.")]
        return section("money", "After costs", captions.MONEY_LEAD, parts)
    parts = []
    if any(strategy.equity is not None for strategy in run.strategies):
        parts.append(figure(equity_chart(run.strategies), "Equity and drawdown", captions.EQUITY))
    rows = _known((name, *(write(strategy) for strategy in run.strategies)) for name, write in STATISTICS)
    untraded = _known((name, *(write(strategy) for strategy in run.strategies)) for name, write in UNTRADED)
    names = [strategy.name for strategy in run.strategies]
    parts += [
        table(("results", *names), rows),
        note(captions.STATISTICS),
        *([table(("not traded", *names), untraded), note(captions.UNTRADED)] if untraded else []),
        *_in_time(run.strategies),
        _rules(run.strategies),
    ]
    return section("money", "After costs", captions.MONEY_LEAD, parts)


def _known(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leave out rows that say nothing of any strategy, such as alpha without a benchmark."""
    return [row for row in rows if any(cell not in (UNDEFINED, "–", "[]") for cell in row[1:])]


def _in_time(strategies: Sequence[Strategy]) -> list[Html]:
    """Show months and years, strategy by strategy as far as there is room; nothing where the calendar has none."""
    shown: list[Strategy] = []
    num_years = 0
    for strategy in strategies:
        num_years += len(strategy.statistics.parts("years"))
        if num_years <= MAX_YEARS or not shown:
            shown.append(strategy)
    charts = [(one.name, months_chart(number, one.statistics.parts("months"))) for number, one in enumerate(shown)]
    parts = [figure(chart, f"{name}, month by month", captions.MONTHS) for name, chart in charts if chart]
    parts += [_years(one) for one in shown if one.statistics.parts("years")]
    if left_out := len(strategies) - len(shown):
        parts.append(note(f"Years and months of {left_out} more strategies are in their statistics.json."))
    return parts


def _years(strategy: Strategy) -> Html:
    rows = [year_row(year) for year in strategy.statistics.parts("years")]
    filled = [i for i in range(len(YEARS_HEADER)) if any(row[i] != UNDEFINED for row in rows)]
    header = [YEARS_HEADER[i] for i in filled]
    return table(header, [[row[i] for i in filled] for row in rows], caption=f"{strategy.name}, by year")


def _rules(strategies: Sequence[Strategy]) -> Html:
    rules = [_rules_of(strategy) for strategy in strategies]
    keys = list(dict.fromkeys(key for rule in rules for key in rule))
    if not keys:
        return missing("The rules and costs of the strategies were not recorded.")
    rows = _known((key, *(rule.get(key, "–") for rule in rules)) for key in keys)
    return table(("rules and costs", *(strategy.name for strategy in strategies)), rows)


def _rules_of(strategy: Strategy) -> dict[str, str]:
    conventions = ("periods_per_year", "compounding")
    written = {key: str(value) for key in conventions if (value := strategy.statistics.values.get(key)) is not None}
    return written | _flat(strategy.statistics.part("config").values)


def _flat(values: object, prefix: str = "") -> dict[str, str]:
    if not isinstance(values, dict):
        return {prefix: "–" if values is None else str(values)}
    found: dict[str, str] = {}
    for key, value in values.items():
        found |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found
