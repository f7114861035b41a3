"""Figures of a parameter search: heat maps of the plateau, and the equity of the replay."""

import numpy as np
import plotly.graph_objects as go

from seawall.report import colours
from seawall.report.drawing import Chart, axis, finished
from seawall.report.fields import Fields, as_number

BPS = 1e4


def heat_chart(name: str, heat: Fields, *, by_trail: bool) -> Chart:
    """Draw the best plateau over take-profit and stop-loss, or over trail and holding; in bps of the notional."""
    if by_trail:
        values, rows = heat.items("trail_by_holding"), list(heat.texts("trails"))
        columns, titles = [str(hold) for hold in heat.items("holding_periods")], ("holding, periods", "trail, bps")
    else:
        values, rows = heat.items("take_profit_by_stop"), _levels(heat, "take_profit_bps")
        columns, titles = _levels(heat, "stop_loss_bps"), ("stop-loss, bps", "take-profit, bps")
    grid = np.array(values, np.float64) * BPS
    reach = float(np.nanmax(np.abs(grid), initial=0.0)) or 1.0
    figure = go.Figure(
        go.Heatmap(
            x=columns,
            y=rows,
            z=grid,
            zmin=-reach,
            zmax=reach,
            colorscale=colours.DIVERGING,
            hovertemplate="%{y} by %{x}: %{z:,.0f} bps",
            name="",
            showscale=False,
        )
    )
    layout = {
        "hovermode": "closest",
        "xaxis": axis(titles[0]) | {"type": "category", "showgrid": False},
        "yaxis": axis(titles[1]) | {"type": "category", "showgrid": False},
    }
    return finished(name, 120 + 26 * min(len(rows), 24), figure, layout)


def replay_chart(name: str, equity: Fields, holdout_start: float | None) -> Chart:
    """Draw the equity of the replay over all time; a line marks where the hold-out begins."""
    times = [_when(value) for value in equity.items("time")]
    figure = go.Figure(
        go.Scatter(
            x=times,
            y=[as_number(value) for value in equity.items("equity")],
            mode="lines",
            name="replay",
            line={"color": colours.ACCENT, "width": 1.8, "shape": "hv"},
            hovertemplate="%{y:.3f}",
        )
    )
    if held := [as_number(value) for value in equity.items("buy_and_hold")]:
        figure.add_trace(
            go.Scatter(
                x=times,
                y=held,
                mode="lines",
                name="held",
                line={"color": colours.QUIET, "width": 1.4},
                hovertemplate="%{y:.3f}",
            )
        )
    if holdout_start is not None:
        figure.add_shape(
            type="line", x0=_when(holdout_start), x1=_when(holdout_start), y0=0, y1=1, yref="paper",
            line={"color": colours.NEGATIVE, "width": 1.2, "dash": "dash"},
        )  # fmt: skip
    return finished(name, 320, figure, {"xaxis": axis(), "yaxis": axis("equity (start = 1)")})


def _levels(heat: Fields, key: str) -> list[str]:
    return ["off" if value is None else f"{value:,.4g}" for value in heat.items(key)]


def _when(value: float | str) -> object:
    """Give a time of the search as a date where it is ns since 1970, else as the step it is."""
    number = int(value)
    return np.datetime64(number, "ns").astype("datetime64[s]").item() if abs(number) > 10**15 else number
