"""What all charts share: axes, a quiet layout, safe text, and Plotly's JSON made fit for a page."""

from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


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
