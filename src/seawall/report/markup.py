"""Pieces of HTML. Every text that comes in is escaped here; only :class:`Html` passes as it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seawall.report.drawing import Chart


class Html(str):
    """Text that is markup already, made only by the functions of this file."""

    __slots__ = ()


def html(text: str) -> Html:
    """Escape a text; markup made here passes."""
    return text if isinstance(text, Html) else Html(escape(text))


def element(tag: str, content: Iterable[str] | str = "", *, style: str = "", name: str = "") -> Html:
    """Build an element from texts and markup; ``style`` is its class, ``name`` its id."""
    attributes = (f' class="{escape(style)}"' if style else "") + (f' id="{escape(name)}"' if name else "")
    parts = [content] if isinstance(content, str) else content
    return Html(f"<{tag}{attributes}>{''.join(html(part) for part in parts)}</{tag}>")


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page, in pieces: one string of it all would hold them twice, and in two bytes a letter."""

    name: str
    pieces: Iterable[Html]


def section(name: str, title: str, lead: str, parts: Iterable[str]) -> Section:
    """Build a section with its heading and the sentence under it; ``parts`` are taken when they are written."""
    below = element("p", lead, style="lead") if lead else ""
    opening = Html(f'<section id="{escape(name)}">{element("h2", title)}{below}')
    return Section(name, chain([opening], map(html, parts), [Html("</section>")]))


def note(text: str) -> Html:
    """Build a short explanation."""
    return element("p", text, style="note")


def missing(text: str) -> Html:
    """Build the sentence that stands where a record is not there yet."""
    return element("p", text, style="missing")


def figure(chart: "Chart", title: str, caption: str) -> Html:
    """Build a chart: a place of its height, its data, and a line on how to read it."""
    name = escape(chart.name)
    label = f'role="group" aria-label="{escape(title)}"'
    place = f'<div class="chart" id="chart-{name}" style="height:{chart.height_pixels}px" {label}></div>'
    data = f'<script type="application/json" data-chart="chart-{name}">{chart.json}</script>'
    return element("figure", [element("h3", title), Html(place), Html(data), element("figcaption", caption)])


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, num_left: int = 1, caption: str = "") -> Html:
    """Build a table; the first ``num_left`` columns are words, the others numbers, aligned right."""
    heads = [_head(text, is_number=i >= num_left) for i, text in enumerate(header)]
    body = [
        element("tr", [element("td", text, style="" if i < num_left else "number") for i, text in enumerate(row)])
        for row in rows
    ]
    parts = [element("caption", caption)] if caption else []
    parts += [element("thead", element("tr", heads)), element("tbody", body)]
    # A wide table scrolls on a phone; with the keyboard only what can take the focus can be scrolled.
    label = escape(caption or " ".join(header[:2]).strip())
    return Html(f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{element("table", parts)}</div>')


def _head(text: str, *, is_number: bool) -> Html:
    style = ' class="number"' if is_number else ""
    return Html(f'<th scope="col"{style}>{html(text)}</th>') if text else Html(f"<td{style}></td>")


def details(summary: str, content: Iterable[str]) -> Html:
    """Build a part that opens on a click."""
    return element("details", [element("summary", summary), *content])


def card(label: str, value: str, below: str, *, share: float | None = None) -> Html:
    """Build a card with one number; ``share`` (0 to 1) draws a bar below it."""
    bar = (
        Html("")
        if share is None
        else Html(f'<div class="bar"><i style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></i></div>')
    )
    parts = [
        element("div", label, style="label"),
        element("div", value, style="value"),
        bar,
        element("div", below, style="below"),
    ]
    return element("div", parts, style="card")


def swatches(names_and_colours: Iterable[tuple[str, str]]) -> Html:
    """Build a legend of coloured squares for several charts at once."""
    items = [
        element("li", [Html(f'<i style="background:{escape(colour)}"></i>'), name])
        for name, colour in names_and_colours
    ]
    return element("ul", items, style="legend")
