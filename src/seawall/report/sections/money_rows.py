"""Rows of the tables of strategies: what each is called, and how it is written."""

from collections.abc import Callable
from functools import partial

from seawall.report.facts import cost_drag
from seawall.report.fields import Fields, as_number
from seawall.report.records import Strategy
from seawall.report.words import UNDEFINED, decimal, percent, when, whole

YEARS_HEADER = (
    "year", "return", "benchmark", "volatility", "Sharpe", "worst drawdown", "turnover", "costs", "hit rate",
)  # fmt: skip


def year_row(year: Fields) -> tuple[str, ...]:
    """Write one calendar year of a strategy."""
    return (
        year.text("year") or "",
        percent(year.number("return")),
        percent(year.number("benchmark_return")),
        percent(year.number("volatility")),
        decimal(year.number("sharpe"), 2),
        percent(year.number("max_drawdown")),
        decimal(year.number("turnover"), 1),
        percent(year.number("cost")),
        percent(year.number("hit_rate")),
    )


def _band(name: str) -> Callable[[Strategy], str]:
    def write(strategy: Strategy) -> str:
        ends = [as_number(end) for end in strategy.statistics.part("bands").items(name)]
        return f"{percent(ends[0])} to {percent(ends[1])}" if len(ends) == 2 and None not in ends else UNDEFINED

    return write


def _of(key: str, write: Callable[[float | None], str]) -> Callable[[Strategy], str]:
    return lambda strategy: write(strategy.statistics.number(key))


STATISTICS: tuple[tuple[str, Callable[[Strategy], str]], ...] = (
    ("return a year", _of("annual_return", percent)),
    ("95 % band of the mean return a year", _band("mean_return")),
    ("volatility a year", _of("annual_volatility", percent)),
    ("Sharpe ratio", _of("sharpe", partial(decimal, digits=2))),
    ("Sortino ratio", _of("sortino", partial(decimal, digits=2))),
    ("Calmar ratio", _of("calmar", partial(decimal, digits=2))),
    ("benchmark, total return", _of("benchmark_total_return", percent)),
    ("over the benchmark a year", _of("annual_excess_return", percent)),
    ("95 % band of it", _band("excess_return")),
    ("tracking error", _of("tracking_error", percent)),
    ("information ratio", _of("information_ratio", partial(decimal, digits=2))),
    ("alpha a year", _of("alpha", percent)),
    ("beta", _of("beta", partial(decimal, digits=2))),
    ("correlation with the benchmark", _of("benchmark_correlation", partial(decimal, digits=2))),
    ("worst drawdown", _of("max_drawdown", percent)),
    ("drawdown began", lambda s: when(s.statistics.text("max_drawdown_start"))),
    ("drawdown was deepest", lambda s: when(s.statistics.text("max_drawdown_end"))),
    ("longest drawdown, periods", _of("longest_drawdown_periods", whole)),
    ("turnover a year, × equity", _of("annual_turnover", partial(decimal, digits=1))),
    ("costs a year, of equity", lambda s: percent(cost_drag(s), 2)),
    ("costs of what was earned before them", _of("cost_share", percent)),
    ("total return", _of("total_return", percent)),
    ("hit rate", _of("hit_rate", percent)),
    ("long exposure, mean", _of("mean_long_exposure", percent)),
    ("short exposure, mean", _of("mean_short_exposure", percent)),
    ("trades", _of("num_trades", whole)),
)

UNTRADED: tuple[tuple[str, Callable[[Strategy], str]], ...] = (
    ("orders without a price to trade at", _of("num_rejected", whole)),
    ("orders at a price limit", _of("num_limited", whole)),
    ("orders filled in part", _of("num_partial", whole)),
    ("positions delisted", _of("num_delisted", whole)),
    ("positions at the end with no price of late", _of("num_stale_positions", whole)),
    ("decisions skipped, too few predictions", _of("num_decisions_skipped", whole)),
    ("decisions after the last date to trade", _of("num_decisions_dropped", whole)),
)
