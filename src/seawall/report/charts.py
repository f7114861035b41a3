"""Figures from records. Text, axes and grid take their colours from the page's style sheet, so they follow light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from seawall.arrays import AnyArray, Float64
from seawall.report import colours
from seawall.report.records import Block, Daily, Equity, Fold, Strategy, Training, Unit
from seawall.report.series import MAX_POINTS, block_means, compounded, drawdown, month_table, running_sum, thin
from seawall.report.timeline import Timeline
from seawall.units import MIB

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
EQUITY_POINTS = 24_000
"""Points of all lines of the equity chart together: keeps the page small however many strategies there are."""

NUM_BLOCKS = 24
"""Bars where a calendar has no months: about as many as two years."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn figure: its place on the page and Plotly's JSON."""

    name: str
    height_pixels: int
    json: str


def figure_json(figure: go.Figure) -> str:
    r"""Write a figure as JSON that can stand inside a ``<script>`` element: every ``<`` is written ``\u003c``."""
    text: str = figure.to_json()
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def equity_chart(strategies: Sequence[Strategy]) -> Chart:
    """Draw equity after costs, drawdown below it on the same time axis, and equity before costs on request."""
    figure = go.Figure()
    max_points = min(MAX_POINTS, max(100, EQUITY_POINTS // (3 * max(len(strategies), 1))))
    for number, strategy in enumerate(strategies):
        if strategy.equity is not None:
            figure.add_traces(
                _equity_traces(strategy.name, strategy.equity, colours.strategy_colour(number), max_points)
            )
    layout = {
        "xaxis": _axis() | {"anchor": "y2"},
        "yaxis": _axis("equity (start = 1)") | {"domain": [0.34, 1.0]},
        "yaxis2": _axis("drawdown") | {"domain": [0.0, 0.26], "tickformat": ".0%"},
    }
    return _chart("equity", 560, figure, layout)


def _equity_traces(name: str, curve: Equity, colour: str, max_points: int) -> list[go.Scatter]:
    text = plain(name)
    net = _line(curve.times, curve.equity, max_points).update(name=text, legendgroup=text, hovertemplate="%{y:.3f}")
    gross = _line(curve.times, compounded(curve.gross_return), max_points)
    gross.update(name=f"{text}, before costs", visible="legendonly", hovertemplate="%{y:.3f}")
    fall = _line(curve.times, drawdown(curve.equity), max_points)
    fall.update(name=text, legendgroup=text, showlegend=False, yaxis="y2", fill="tozeroy", hovertemplate="%{y:.1%}")
    for line, dash in ((net, "solid"), (gross, "dot"), (fall, "solid")):
        line.update(line={"color": colour, "width": 1.8, "dash": dash})
    return [net, gross, fall]


def ic_by_month_chart(daily: Daily) -> Chart:
    """Draw the mean Rank IC of each month, year by month; where the calendar is steps, of equal runs of dates."""
    if not np.issubdtype(daily.times.dtype, np.datetime64):
        return _ic_by_block(daily)
    years, means_YM = month_table(daily.times, daily.rank_ic)
    reach = float(np.nanmax(np.abs(means_YM), initial=0.0)) or 1.0
    figure = go.Figure(
        go.Heatmap(
            x=list(MONTHS),
            y=[str(year) for year in years],
            z=means_YM,
            zmin=-reach,
            zmax=reach,
            colorscale=[[0, "rgba(213,94,0,.8)"], [0.5, "rgba(138,148,160,.10)"], [1, "rgba(0,114,178,.8)"]],
            text=[[_month_label(value) for value in row] for row in means_YM.tolist()],
            texttemplate="%{text}",
            hovertemplate="%{x} %{y}: mean Rank IC %{z:.4f}",
            name="",
            hoverongaps=False,
            xgap=2,
            ygap=2,
            showscale=False,
        )
    )
    layout = {
        "hovermode": "closest",
        "xaxis": _axis() | {"side": "top", "showgrid": False, "type": "category", "fixedrange": True},
        "yaxis": _categories() | {"fixedrange": True},
    }
    return _chart("ic-months", 70 + 34 * len(years), figure, layout)


def _month_label(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}".replace("-", "−").replace("0.", ".")


def _ic_by_block(daily: Daily) -> Chart:
    num_blocks = min(NUM_BLOCKS, len(daily.times))
    starts = daily.times[np.arange(num_blocks) * len(daily.times) // num_blocks]
    means = block_means(daily.rank_ic, num_blocks)
    sign_colours = [colours.NEGATIVE if value < 0 else colours.ACCENT for value in means.tolist()]
    figure = go.Figure(
        go.Bar(x=starts, y=means, marker={"color": sign_colours}, hovertemplate="from %{x}: %{y:.4f}", name="")
    )
    return _chart("ic-months", 300, figure, {"xaxis": _axis("first time"), "yaxis": _axis("mean Rank IC")})


def ic_running_chart(daily: Daily) -> Chart:
    """Draw the sums of IC and Rank IC so far: a steady climb is a steady ability."""
    lines = []
    for name, values, colour in (("Rank IC", daily.rank_ic, colours.ACCENT), ("IC", daily.ic, colours.QUIET)):
        line = _line(daily.times, running_sum(values), MAX_POINTS)
        lines.append(
            line.update(name=name, line={"color": colour, "width": 1.8}, hovertemplate="%{y:.2f}", connectgaps=True)
        )
    return _chart("ic-running", 320, go.Figure(lines), {"xaxis": _axis(), "yaxis": _axis("sum so far")})


def quantile_chart(overall: Block, blocks: Sequence[Block], *, is_return: bool) -> Chart:
    """Draw the mean target in each quantile of the predictions: bars over all dates, a dot for each fold."""
    names = [f"Q{i + 1}" for i in range(len(overall.quantiles))]
    values = _undefined_as_nan(overall.quantiles)
    tickformat = ".2%" if is_return else "~g"
    bars = go.Bar(
        x=names,
        y=values,
        name="all folds",
        marker={"color": [colours.NEGATIVE if value < 0 else colours.ACCENT for value in values.tolist()]},
        width=0.62,
        hovertemplate="%{y:.3%}" if is_return else "%{y:.5g}",
        showlegend=False,
    )
    dots = [
        go.Scatter(
            x=names,
            y=_undefined_as_nan(block.quantiles),
            mode="markers",
            name="single folds",
            legendgroup="folds",
            showlegend=number == 0,
            marker={"color": colours.QUIET, "size": 7, "opacity": 0.85},
            hovertemplate=f"fold {block.fold}: %{{y:.3%}}" if is_return else f"fold {block.fold}: %{{y:.5g}}",
        )
        for number, block in enumerate(blocks)
    ]
    layout = {
        "xaxis": _axis() | {"showgrid": False, "type": "category"},
        "yaxis": _axis("mean target") | {"tickformat": tickformat, "zeroline": True},
    }
    return _chart("quantiles", 340, go.Figure([bars, *dots]), layout)


def folds_chart(folds: Sequence[Fold]) -> Chart:
    """Draw the train, valid and test segments of each fold on one time axis."""
    are_dates = any(isinstance(segment.first_time, str) for fold in folds for segment in fold.segments)
    figure = go.Figure(
        [_segment_bars(folds, kind, colour, are_dates=are_dates) for kind, colour in colours.SEGMENTS.items()]
    )
    layout = {
        "barmode": "overlay",
        "hovermode": "closest",
        "xaxis": _axis() | {"type": "date" if are_dates else "linear"},
        "yaxis": _categories(),
    }
    return _chart("folds", 90 + 34 * len(folds), figure, layout)


def _segment_bars(folds: Sequence[Fold], kind: str, colour: str, *, are_dates: bool) -> go.Bar:
    found = [(fold.fold, segment) for fold in folds for segment in fold.segments if segment.kind == kind]
    drawn = [(fold, s) for fold, s in found if s.first_time is not None and s.last_time is not None]
    return go.Bar(
        y=[f"fold {fold}" for fold, _ in drawn],
        base=[segment.first_time for _, segment in drawn],
        x=[_length(segment.first_time, segment.last_time, are_dates=are_dates) for _, segment in drawn],
        orientation="h",
        name=kind,
        width=0.55,
        marker={"color": colour},
        customdata=[
            [str(s.first_time), str(s.last_time), _count(s.num_samples), _count(s.num_purged)] for _, s in drawn
        ],
        hovertemplate="%{customdata[0]} to %{customdata[1]}<br>%{customdata[2]} samples, %{customdata[3]} purged",
    )


def _length(first: str | int | None, last: str | int | None, *, are_dates: bool) -> float:
    if not are_dates:
        return float(int(last or 0) - int(first or 0))
    span = np.datetime64(str(last)[:19].rstrip("Z"), "ms") - np.datetime64(str(first)[:19].rstrip("Z"), "ms")
    return float(span.astype(np.int64))


def training_chart(training: Training) -> Chart:
    """Draw one fold's train and valid loss by epoch, and below them the IC on the valid segment."""
    epochs = [epoch.count("epoch") for epoch in training.epochs]
    curves = (
        ("train_loss", "train loss", "train", "y"),
        ("valid_loss", "valid loss", "valid", "y"),
        ("valid_ic", "valid IC", "valid", "y2"),
    )
    figure = go.Figure()
    for key, name, segment, axis in curves:
        line = {"color": colours.SEGMENTS[segment], "width": 2, "dash": "dot" if axis == "y2" else "solid"}
        points = go.Scatter(
            x=epochs, y=training.curve(key), name=name, mode="lines+markers", line=line, marker={"size": 5}, yaxis=axis
        )
        figure.add_trace(points.update(hovertemplate="%{y:.5g}"))
    if training.best_epoch is not None:
        dash = {"color": colours.QUIET, "width": 1, "dash": "dash"}
        figure.add_shape(
            type="line", x0=training.best_epoch, x1=training.best_epoch, y0=0, y1=1, yref="paper", line=dash
        )
    layout = {
        "showlegend": False,
        "xaxis": _axis("epoch") | {"anchor": "y2", "tickformat": "d"},
        "yaxis": _axis("loss") | {"domain": [0.44, 1.0], "nticks": 5},
        "yaxis2": _axis("IC") | {"domain": [0.0, 0.34], "nticks": 4},
    }
    return _chart(f"training-{training.fold}", 300, figure, layout)


def units_chart(units: Sequence[Unit], declared_bytes: float | None) -> Chart:
    """Draw, per unit of work, the projected private peak and over it the measured one; the declared budget as a line."""
    names = [plain(unit.name) for unit in units]
    projected = [_mib(unit.projected_private_bytes) for unit in units]
    measured = [_mib(unit.measured_private_bytes) for unit in units]
    bars = [
        _unit_bars(names, projected, "projected", "rgba(138,148,160,.38)", 0.74),
        _unit_bars(names, measured, "measured", colours.ACCENT, 0.36),
    ]
    figure = go.Figure(bars)
    if declared_bytes is not None:
        ends = [names[0], names[-1]] if names else []
        dash = {"color": colours.DECLARED, "width": 2, "dash": "dash"}
        figure.add_shape(
            type="line", x0=declared_bytes / MIB, x1=declared_bytes / MIB, y0=0, y1=1, yref="paper", line=dash
        )
        legend = go.Scatter(x=[declared_bytes / MIB] * len(ends), y=ends, name="declared", mode="lines", line=dash)
        figure.add_trace(legend.update(hovertemplate="%{x:,.0f} MiB"))
    layout = {"barmode": "overlay", "hovermode": "y unified", "xaxis": _mib_axis(), "yaxis": _categories()}
    return _chart("memory-units", 110 + 30 * len(units), figure, layout)


def _unit_bars(names: list[str], values: list[float | None], name: str, colour: str, width: float) -> go.Bar:
    return go.Bar(
        y=names,
        x=values,
        orientation="h",
        name=name,
        width=width,
        marker={"color": colour},
        hovertemplate="%{x:,.0f} MiB",
    )


def timeline_chart(timeline: Timeline, stages: dict[str, str], declared_bytes: float | None) -> Chart:
    """Draw the run's memory over time, coloured by stage, with the parent's share in front and the declared budget above."""
    figure = go.Figure()
    seen: set[str] = set()
    for start, stop in _runs(timeline.units):
        stage = stages.get(timeline.units[start], timeline.units[start] or "between stages")
        figure.add_trace(_stage_area(timeline, slice(start, stop), stage, showlegend=stage not in seen))
        seen.add(stage)
    figure.add_trace(_parent_area(timeline))
    if not np.isnan(timeline.cgroup_bytes).all():
        figure.add_trace(_cgroup_line(timeline))
    if declared_bytes is not None and len(timeline.seconds):
        ends = [0.0, float(timeline.seconds[-1])]
        dash = {"color": colours.DECLARED, "width": 2, "dash": "dash"}
        line = go.Scatter(x=ends, y=[declared_bytes / MIB] * 2, name="declared", mode="lines", line=dash)
        figure.add_trace(line.update(hovertemplate="%{y:,.0f} MiB"))
    layout = {"hovermode": "closest", "xaxis": _axis("seconds since the first sample"), "yaxis": _mib_axis()}
    return _chart("memory-timeline", 380, figure, layout)


def _stage_area(timeline: Timeline, part: slice, stage: str, *, showlegend: bool) -> go.Scatter:
    colour = colours.stage_colour(stage)
    return go.Scatter(
        x=timeline.seconds[part].astype(np.float32),
        y=(timeline.total_bytes[part] / MIB).astype(np.float32),
        name=plain(stage),
        legendgroup=plain(stage),
        showlegend=showlegend,
        mode="lines",
        line={"color": colour, "width": 1.5},
        fill="tozeroy",
        hovertemplate=f"{plain(timeline.units[part][0])}: %{{y:,.0f}} MiB at %{{x:,.1f}} s",
    )


def _parent_area(timeline: Timeline) -> go.Scatter:
    return go.Scatter(
        x=timeline.seconds.astype(np.float32),
        y=(timeline.parent_bytes / MIB).astype(np.float32),
        name="parent",
        mode="lines",
        line={"color": "#5c6670", "width": 1},
        fill="tozeroy",
        hovertemplate="parent: %{y:,.0f} MiB",
    )


def _cgroup_line(timeline: Timeline) -> go.Scatter:
    return go.Scatter(
        x=timeline.seconds.astype(np.float32),
        y=(timeline.cgroup_bytes / MIB).astype(np.float32),
        name="container, page cache included",
        mode="lines",
        visible="legendonly",
        line={"color": colours.QUIET, "width": 1.2, "dash": "dot"},
        hovertemplate="container: %{y:,.0f} MiB",
    )


def plain(text: str) -> str:
    """Make a name safe as chart text, where Plotly reads a little HTML: what was written is what is seen."""
    return escape(" ".join(text.split()), quote=False)[:120]


def _line(times: AnyArray, values: Float64, max_points: int) -> go.Scatter:
    chosen = thin(values, max_points=max_points)
    return go.Scatter(x=_times(times[chosen]), y=values[chosen].astype(np.float32), mode="lines")


def _times(times: AnyArray) -> list[str] | AnyArray:
    if not np.issubdtype(times.dtype, np.datetime64):
        return times
    days = times.astype("datetime64[D]")
    # A date alone is half as long as a date with its time of day; most calendars are daily.
    text = days if (days == times).all() else times.astype("datetime64[s]")
    return [str(value) for value in text]


def _runs(units: Sequence[str]) -> list[tuple[int, int]]:
    cuts = [i for i in range(1, len(units)) if units[i] != units[i - 1]]
    return list(zip([0, *cuts], [*cuts, len(units)], strict=True)) if units else []


def _undefined_as_nan(values: Sequence[float | None]) -> Float64:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _mib(size_bytes: float | None) -> float | None:
    return None if size_bytes is None else size_bytes / MIB


def _count(value: int | None) -> str:
    return "undefined" if value is None else f"{value:,}"


def _axis(title: str = "") -> dict[str, Any]:
    return {
        "automargin": True,
        "zeroline": False,
        "ticks": "",
        "showline": False,
        "title": {"text": title, "standoff": 8},
    }


def _categories() -> dict[str, Any]:
    return _axis() | {"type": "category", "autorange": "reversed", "showgrid": False}


def _mib_axis() -> dict[str, Any]:
    return _axis("MiB") | {"rangemode": "tozero", "tickformat": ",d"}


def _chart(name: str, height_pixels: int, figure: go.Figure, layout: dict[str, Any]) -> Chart:
    shared = {
        "template": {},
        "height": height_pixels,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12},
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)"},
    }
    figure.update_layout({**shared, **layout})
    return Chart(name, height_pixels, figure_json(figure))
