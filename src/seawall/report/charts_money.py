"""Figures of strategies: equity with drawdown and benchmark, and returns by month."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from seawall.report import colours
from seawall.report.drawing import Chart, axis, calendar_heat, finished, plain, thinned_line
from seawall.report.fields import Fields
from seawall.report.records import Equity, Strategy
from seawall.report.series import MAX_POINTS, compounded, drawdown

EQUITY_POINTS = 18_000
"""Points of all lines of the equity chart together: keeps the page small however many strategies there are."""

NUM_MONTHS = 12


def equity_chart(strategies: Sequence[Strategy]) -> Chart:
    """Draw equity after costs, drawdown below it on the same time axis, and equity before costs on request."""
    figure = go.Figure()
    max_points = min(MAX_POINTS, max(100, EQUITY_POINTS // (3 * max(len(strategies), 1) + 1)))
    for number, strategy in enumerate(strategies):
        if strategy.equity is not None:
            figure.add_traces(
                _equity_traces(strategy.name, strategy.equity, colours.strategy_colour(number), max_points)
            )
    if (held := next((s.equity for s in strategies if s.equity and s.equity.benchmark_return is not None), None)) and (
        held.benchmark_return is not None
    ):
        line = thinned_line(held.times, compounded(held.benchmark_return), max_points)
        line.update(name="benchmark", line={"color": colours.QUIET, "width": 1.6, "dash": "dash"})
        figure.add_trace(line.update(hovertemplate="%{y:.3f}"))
    layout = {
        "xaxis": axis() | {"anchor": "y2"},
        "yaxis": axis("equity (start = 1)") | {"domain": [0.34, 1.0]},
        "yaxis2": axis("drawdown") | {"domain": [0.0, 0.26], "tickformat": ".0%"},
    }
    return finished("equity", 560, figure, layout)


def _equity_traces(name: str, curve: Equity, colour: str, max_points: int) -> list[go.Scatter]:
    text = plain(name)
    net = thinned_line(curve.times, curve.equity, max_points).update(
        name=text, legendgroup=text, hovertemplate="%{y:.3f}"
    )
    gross = thinned_line(curve.times, compounded(curve.gross_return), max_points)
    gross.update(name=f"{text}, before costs", visible="legendonly", legendrank=1100, hovertemplate="%{y:.3f}")
    fall = thinned_line(curve.times, drawdown(curve.equity), max_points)
    fall.update(name=text, legendgroup=text, showlegend=False, yaxis="y2", hovertemplate="%{y:.1%}")
    fall.update(fill="tozeroy", fillcolor=colours.tint(colour, 0.18))
    for line, width, dash in ((net, 1.8, "solid"), (gross, 1.8, "dot"), (fall, 1.0, "solid")):
        line.update(line={"color": colour, "width": width, "dash": dash})
    return [net, gross, fall]


def months_chart(number: int, months: Sequence[Fields]) -> Chart | None:
    """Draw the return of each calendar month of a strategy; None where the calendar has no months."""
    values = {text: month.number("return") for month in months if (text := month.text("month"))}
    if not values:
        return None
    years = list(range(int(min(values)[:4]), int(max(values)[:4]) + 1))
    returns_YM = np.full((len(years), NUM_MONTHS), np.nan)
    for text, value in values.items():
        returns_YM[int(text[:4]) - years[0], int(text[5:7]) - 1] = np.nan if value is None else value
    return calendar_heat(f"months-{number}", years, 100 * returns_YM, hover="%{z:.2f} % after costs", text="%{z:.1f}")
