"""Figures of memory: projected and measured per unit, and everything over time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from seawall.arrays import Float64
from seawall.report import colours
from seawall.report.drawing import Chart, axis, categories, finished, plain
from seawall.report.records import Unit
from seawall.report.timeline import Timeline
from seawall.units import MIB

AREA_OPACITY = 0.4

CLOCKS = ((3600, "hours"), (60, "minutes"), (1, "seconds"))
"""Units of the time axis: the largest that makes the run at least three long."""


def units_chart(units: Sequence[Unit], declared_bytes: float | None) -> Chart:
    """Draw each unit's projected private peak, over it the measured one, and the declared budget as a line."""
    names = [plain(unit.name) for unit in units]
    projected = [_mib(unit.projected_private_bytes) for unit in units]
    measured = [_mib(unit.measured_private_bytes) for unit in units]
    bars = [
        _unit_bars(names, projected, "projected", colours.tint(colours.QUIET, 0.38), 0.74),
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
    layout = {"barmode": "overlay", "hovermode": "y unified", "xaxis": _mib_axis(), "yaxis": categories()}
    return finished("memory-units", 110 + 30 * len(units), figure, layout)


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


def timeline_chart(timeline: Timeline, stages: Mapping[str, str], declared_bytes: float | None) -> Chart:
    """Draw the run's memory over time, coloured by stage, the parent's share in front, the declared budget above.

    Parameters
    ----------
    stages
        Stage of each unit by the unit's name; a unit that is not in it stands for itself.
    """
    clock, unit_of_time = _clock(timeline.seconds)
    figure = go.Figure()
    seen: set[str] = set()
    for start, stop in _runs(timeline.units):
        unit = timeline.units[start] or "between units"
        stage = stages.get(unit, unit)
        area = _line(clock[start:stop], timeline.total_bytes[start:stop], stage, colours.stage_colour(stage))
        area.update(
            legendgroup=plain(stage), showlegend=stage not in seen, hovertemplate=f"{plain(unit)}: %{{y:,.0f}} MiB"
        )
        figure.add_trace(area.update(fill="tozeroy", fillcolor=colours.tint(colours.stage_colour(stage), AREA_OPACITY)))
        seen.add(stage)
    parent = _line(clock, timeline.parent_bytes, "parent", colours.PARENT)
    figure.add_trace(parent.update(fill="tozeroy", fillcolor=colours.tint(colours.PARENT, 0.6)))
    if not np.isnan(timeline.cgroup_bytes).all():
        container = _line(clock, timeline.cgroup_bytes, "container, page cache included", colours.QUIET)
        figure.add_trace(container.update(visible="legendonly", line={"dash": "dot"}))
    if declared_bytes is not None and len(clock):
        ends = np.array([clock[0], clock[-1]])
        declared = _line(ends, np.full(2, declared_bytes), "declared", colours.DECLARED)
        figure.add_trace(declared.update(line={"dash": "dash", "width": 2}))
    layout = {"hovermode": "closest", "xaxis": axis(f"{unit_of_time} since the first sample"), "yaxis": _mib_axis()}
    return finished("memory-timeline", 380, figure, layout)


def _clock(seconds: Float64) -> tuple[Float64, str]:
    last = float(seconds[-1]) if len(seconds) else 0.0
    divisor, name = next((divisor, name) for divisor, name in CLOCKS if last >= 3 * divisor or divisor == 1)
    return seconds / divisor, name


def _line(clock: Float64, size_bytes: Float64, name: str, colour: str) -> go.Scatter:
    # float32 carries seven digits: far finer than a pixel, at half the page.
    x, y = clock.astype(np.float32), (size_bytes / MIB).astype(np.float32)
    line = {"color": colour, "width": 1.2}
    return go.Scatter(
        x=x, y=y, name=plain(name), mode="lines", line=line, hovertemplate=f"{plain(name)}: %{{y:,.0f}} MiB"
    )


def _runs(units: Sequence[str]) -> list[tuple[int, int]]:
    cuts = [i for i in range(1, len(units)) if units[i] != units[i - 1]]
    return list(zip([0, *cuts], [*cuts, len(units)], strict=True)) if units else []


def _mib(size_bytes: float | None) -> float | None:
    return None if size_bytes is None else size_bytes / MIB


def _mib_axis() -> dict[str, Any]:
    return axis("MiB") | {"rangemode": "tozero", "tickformat": ",d"}
