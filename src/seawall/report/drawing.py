"""What all charts share: axes, a quiet layout, safe text, and Plotly's JSON made fit for a page."""

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from seawall.arrays import AnyArray, Float64
from seawall.report import colours
from seawall.report.series import thin

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


DAY_MILLISECONDS = 86_400_000

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


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


def plain(text: str) -> str:
    """Make a name safe as chart text, where Plotly reads a little HTML: what was written is what is seen."""
    return escape(" ".join(text.split()), quote=False)[:120]


def axis(title: str = "") -> dict[str, Any]:
    """Describe an axis; add to it or override it with ``|``."""
    return {
        "automargin": True,
        "zeroline": False,
        "ticks": "",
        "showline": False,
        "title": {"text": title, "standoff": 8},
    }


def categories() -> dict[str, Any]:
    """Describe a vertical axis of names, first name on top."""
    return axis() | {"type": "category", "autorange": "reversed", "showgrid": False}


def finished(name: str, height_pixels: int, figure: go.Figure, layout: dict[str, Any]) -> Chart:
    """Give a figure its layout and write it as JSON.

    Text, axes and grid take their colours from the page's style sheet, so they follow light and dark; the background is
    transparent.
    """
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


def calendar_heat(name: str, years: list[int], values_YM: Float64, *, hover: str, text: str | list[list[str]]) -> Chart:
    """Draw one coloured cell per month, a row per year, its number in it: blue above zero, orange below.

    ``text`` is how Plotly writes the number, or every text.
    """
    reach = float(np.nanmax(np.abs(values_YM), initial=0.0)) or 1.0
    figure = go.Figure(
        go.Heatmap(
            x=list(MONTHS),
            y=[str(year) for year in years],
            z=values_YM.astype(np.float32),
            zmin=-reach,
            zmax=reach,
            colorscale=colours.DIVERGING,
            text=None if isinstance(text, str) else text,
            texttemplate=text if isinstance(text, str) else "%{text}",
            hovertemplate="%{x} %{y}: " + hover,
            name="",
            hoverongaps=False,
            xgap=2,
            ygap=2,
            showscale=False,
        )
    )
    layout = {
        "hovermode": "closest",
        "xaxis": axis() | {"side": "top", "showgrid": False, "type": "category", "fixedrange": True},
        "yaxis": categories() | {"fixedrange": True},
    }
    return finished(name, 70 + 34 * len(years), figure, layout)


def thinned_line(times: AnyArray, values: Float64, max_points: int) -> go.Scatter:
    """Draw a series over time by at most so many points; no extreme is lost."""
    chosen = thin(values, max_points=max_points)
    x, unit_milliseconds = written_times(times[chosen])
    line = go.Scatter(x=x, y=values[chosen].astype(np.float32), mode="lines")
    return line if unit_milliseconds is None else line.update(meta=unit_milliseconds)


def written_times(times: AnyArray) -> tuple[AnyArray, int | None]:
    """Count times from 1970, for the page to write out: as texts they would take six times the memory.

    Returns
    -------
    counts, unit_milliseconds
        int32 days where no time has a time of day, as most calendars, else float64 seconds. Integer steps stay as they
        are and have no unit.
    """
    if not np.issubdtype(times.dtype, np.datetime64):
        return times, None
    days = times.astype("datetime64[D]")
    if (days == times).all():
        return days.astype(np.int64).astype(np.int32), DAY_MILLISECONDS
    return times.astype("datetime64[s]").astype(np.float64), 1000
