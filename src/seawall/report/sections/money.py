"""What the strategies would have earned after costs."""

from collections.abc import Callable, Sequence

from seawall.report import captions
from seawall.report.charts import equity_chart
from seawall.report.facts import cost_drag
from seawall.report.markup import Html, figure, missing, note, section, table
from seawall.report.records import RunRecords, Strategy
from seawall.report.words import decimal, percent, when, whole

STATISTICS: tuple[tuple[str, Callable[[Strategy], str]], ...] = (
    ("return a year", lambda s: percent(s.statistics.number("annual_return"))),
    ("volatility a year", lambda s: percent(s.statistics.number("annual_volatility"))),
    ("Sharpe ratio", lambda s: decimal(s.statistics.number("sharpe"), 2)),
    ("Sortino ratio", lambda s: decimal(s.statistics.number("sortino"), 2)),
    ("Calmar ratio", lambda s: decimal(s.statistics.number("calmar"), 2)),
    ("alpha a year", lambda s: percent(s.statistics.number("alpha"))),
    ("beta", lambda s: decimal(s.statistics.number("beta"), 2)),
    ("worst drawdown", lambda s: percent(s.statistics.number("max_drawdown"))),
    ("drawdown began", lambda s: when(s.statistics.text("max_drawdown_start"))),
    ("drawdown was deepest", lambda s: when(s.statistics.text("max_drawdown_end"))),
    ("turnover a year, × equity", lambda s: decimal(s.statistics.number("annual_turnover"), 1)),
    ("costs a year, of equity", lambda s: percent(cost_drag(s), 2)),
    ("total return", lambda s: percent(s.statistics.number("total_return"))),
    ("hit rate", lambda s: percent(s.statistics.number("hit_rate"))),
    ("trades", lambda s: whole(s.statistics.number("num_trades"))),
    ("orders not filled", lambda s: whole(s.statistics.number("num_rejected"))),
)


def money_section(run: RunRecords) -> Html:
    """Show equity and drawdown of every strategy, its statistics, and the rules and costs it was run with."""
    if not run.strategies:
        parts = [missing("There is no backtest in this run yet.")]
        return section("money", "After costs", captions.MONEY_LEAD, parts)
    parts = []
    if any(strategy.equity is not None for strategy in run.strategies):
        parts.append(figure(equity_chart(run.strategies), "Equity and drawdown", captions.EQUITY))
    rows = [(name, *(write(strategy) for strategy in run.strategies)) for name, write in STATISTICS]
    names = [strategy.name for strategy in run.strategies]
    parts += [
        table(("results", *names), rows),
        note(captions.STATISTICS),
        *_years(run.strategies),
        _rules(run.strategies),
    ]
    return section("money", "After costs", captions.MONEY_LEAD, parts)


def _years(strategies: Sequence[Strategy]) -> list[Html]:
    """Show the return of each calendar year; nothing where the calendar has none."""
    of_each = [{f.text("year"): f.number("return") for f in s.statistics.parts("years")} for s in strategies]
    years = sorted({year for returns in of_each for year in returns if year})
    rows = [(year, *(percent(returns.get(year)) for returns in of_each)) for year in years]
    return [table(("return by year", *(strategy.name for strategy in strategies)), rows)] if rows else []


def _rules(strategies: Sequence[Strategy]) -> Html:
    rules = [_rules_of(strategy) for strategy in strategies]
    keys = list(dict.fromkeys(key for rule in rules for key in rule))
    if not keys:
        return missing("The rules and costs of the strategies were not recorded.")
    rows = [(key, *(rule.get(key, "–") for rule in rules)) for key in keys]
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
