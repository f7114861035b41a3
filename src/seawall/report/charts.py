"""Figures of results: IC, quantiles, folds, training."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from seawall.arrays import Float64
from seawall.report import colours
from seawall.report.drawing import Chart, axis, calendar_heat, categories, finished, thinned_line
from seawall.report.fields import Fields
from seawall.report.records import Block, Daily, Fold, Training
from seawall.report.series import MAX_POINTS, block_means, month_table, running_sum

NUM_BLOCKS = 24
"""Bars where a calendar has no months: about as many as two years."""


def ic_by_month_chart(daily: Daily) -> Chart:
    """Draw the mean Rank IC of each month, year by month; where the calendar is steps, of equal runs of dates."""
    if not np.issubdtype(daily.times.dtype, np.datetime64):
        return _ic_by_block(daily)
    years, means_YM = month_table(daily.times, daily.rank_ic)
    texts = [[_month_label(value) for value in row] for row in means_YM.tolist()]
    return calendar_heat("ic-months", years, means_YM, hover="mean Rank IC %{z:.4f}", text=texts)


def _month_label(value: float) -> str:
    if np.isnan(value):
        return ""
    rounded = f"{value:.2f}"
    return "0" if float(rounded) == 0 else rounded.replace("-", "−").replace("0.", ".")


def _ic_by_block(daily: Daily) -> Chart:
    num_blocks = min(NUM_BLOCKS, len(daily.times))
    starts = daily.times[np.arange(num_blocks) * len(daily.times) // num_blocks]
    means = block_means(daily.rank_ic, num_blocks)
    sign_colours = [colours.NEGATIVE if value < 0 else colours.ACCENT for value in means.tolist()]
    figure = go.Figure(
        go.Bar(x=starts, y=means, marker={"color": sign_colours}, hovertemplate="from %{x}: %{y:.4f}", name="")
    )
    return finished("ic-months", 300, figure, {"xaxis": axis("first time"), "yaxis": axis("mean Rank IC")})


def ic_running_chart(daily: Daily) -> Chart:
    """Draw the sums of IC and Rank IC so far: a steady climb is a steady ability."""
    lines = []
    for name, values, colour in (("Rank IC", daily.rank_ic, colours.ACCENT), ("IC", daily.ic, colours.QUIET)):
        line = thinned_line(daily.times, running_sum(values), MAX_POINTS // 2)
        lines.append(
            line.update(name=name, line={"color": colour, "width": 1.8}, hovertemplate="%{y:.2f}", connectgaps=True)
        )
    return finished("ic-running", 320, go.Figure(lines), {"xaxis": axis(), "yaxis": axis("sum so far")})


def decay_chart(lags: Sequence[Fields]) -> Chart:
    """Draw the mean IC of predictions made some dates before, each with its 95 % band."""
    names = [f"{lag.count('lag')}" for lag in lags]
    means = _undefined_as_nan([lag.number("mean") for lag in lags])
    high = _undefined_as_nan([lag.number("mean_high") for lag in lags]) - means
    low = means - _undefined_as_nan([lag.number("mean_low") for lag in lags])
    bars = go.Bar(
        x=names,
        y=means,
        name="",
        width=0.55,
        marker={"color": [colours.NEGATIVE if value < 0 else colours.ACCENT for value in means.tolist()]},
        error_y={"array": high, "arrayminus": low, "color": colours.QUIET, "thickness": 1.4, "width": 5},
        hovertemplate="%{x} dates before: mean IC %{y:.4f}",
    )
    layout = {
        "hovermode": "closest",
        "xaxis": axis("predicted so many dates before") | {"showgrid": False, "type": "category"},
        "yaxis": axis("mean IC") | {"zeroline": True},
    }
    return finished("ic-decay", 280, go.Figure(bars), layout)


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
        "xaxis": axis() | {"showgrid": False, "type": "category"},
        "yaxis": axis("mean target") | {"tickformat": tickformat, "zeroline": True},
    }
    return finished("quantiles", 340, go.Figure([bars, *dots]), layout)


def folds_chart(folds: Sequence[Fold]) -> Chart:
    """Draw train, valid and test of each fold on one time axis, with dates purged or within the embargo."""
    are_dates = any(isinstance(segment.first_time, str) for fold in folds for segment in fold.segments)
    figure = go.Figure(
        [
            _segment_bars(folds, kind, colour, are_dates=are_dates)
            for kind, colour in (colours.SEGMENTS | colours.LEFT_OUT).items()
            if kind in colours.SEGMENTS or any(piece.kind == kind for fold in folds for piece in fold.pieces)
        ]
    )
    layout = {
        "barmode": "overlay",
        "hovermode": "closest",
        "xaxis": axis() | {"type": "date" if are_dates else "linear"},
        "yaxis": categories(),
    }
    return finished("folds", 90 + 34 * len(folds), figure, layout)


def _segment_bars(folds: Sequence[Fold], kind: str, colour: str, *, are_dates: bool) -> go.Bar:
    found = [(fold.fold, segment) for fold in folds for segment in fold.pieces if segment.kind == kind]
    drawn = [(fold, s) for fold, s in found if s.first_time is not None and s.last_time is not None]
    return go.Bar(
        y=[f"fold {fold}" for fold, _ in drawn],
        base=[segment.first_time for _, segment in drawn],
        x=[_length(s.first_time, s.last_time if s.until is None else s.until, are_dates=are_dates) for _, s in drawn],
        orientation="h",
        name=kind,
        width=0.55,
        marker={"color": colour},
        customdata=[
            [str(s.first_time), str(s.last_time), _count(s.num_samples), _count(s.num_purged)] for _, s in drawn
        ],
        hovertemplate="%{customdata[0]} to %{customdata[1]}"
        + ("<br>%{customdata[2]} samples, %{customdata[3]} purged" if kind in colours.SEGMENTS else f"<br>{kind}"),
    )


def _length(first: str | int | None, last: str | int | None, *, are_dates: bool) -> float:
    if not are_dates:
        return float(int(last or 0) - int(first or 0))
    span = np.datetime64(str(last)[:19].rstrip("Z"), "ms") - np.datetime64(str(first)[:19].rstrip("Z"), "ms")
    return float(span.astype(np.int64))


def training_chart(training: Training) -> Chart:
    """Draw one fold's train and valid loss by epoch, and below them the IC on the valid segment."""
    figure = go.Figure(
        [
            _curve(training, "train_loss", "train loss", colours.SEGMENTS["train"]),
            _curve(training, "valid_loss", "valid loss", colours.SEGMENTS["valid"]),
            _curve(training, "valid_ic", "valid IC", colours.SEGMENTS["valid"]).update(
                yaxis="y2", line={"dash": "dot"}
            ),
        ]
    )
    if training.best_epoch is not None:
        line = {"color": colours.QUIET, "width": 1, "dash": "dash"}
        x = training.best_epoch
        figure.add_shape(type="line", x0=x, x1=x, y0=0, y1=1, yref="paper", line=line)
    layout = {
        "showlegend": False,
        "xaxis": axis("epoch") | {"anchor": "y2", "dtick": -(-len(training.epochs) // 6) or 1},
        "yaxis": axis("loss") | {"domain": [0.44, 1.0], "nticks": 5},
        "yaxis2": axis("IC") | {"domain": [0.0, 0.34], "nticks": 4},
    }
    return finished(f"training-{training.fold}{training.member and '-'}{training.member}", 300, figure, layout)


def _curve(training: Training, key: str, name: str, colour: str) -> go.Scatter:
    epochs = [epoch.count("epoch") for epoch in training.epochs]
    line, marker = {"color": colour, "width": 2}, {"size": 5}
    curve = go.Scatter(x=epochs, y=training.curve(key), name=name, mode="lines+markers", line=line, marker=marker)
    return curve.update(hovertemplate="%{y:.5g}")


def _undefined_as_nan(values: Sequence[float | None]) -> Float64:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _count(value: int | None) -> str:
    return "undefined" if value is None else f"{value:,}"
