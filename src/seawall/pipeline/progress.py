"""How far a run called from Python is: one display that renews itself in a notebook, lines on standard error elsewhere.

Nothing here imports a notebook library: in a kernel it is there already.
"""

import sys
import time
from collections.abc import Callable, Sequence
from html import escape
from importlib import import_module
from typing import Any

from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.budget.meter import HighWater
from seawall.pipeline.listener import Listener, Silent
from seawall.pipeline.pace import Pace
from seawall.pipeline.stages import Unit
from seawall.units import format_bytes, format_seconds

REDRAW_SECONDS = 0.5
"""A notebook redraws at this pace: often enough to follow, and a run of hours sends it a few MB."""

LINE_SECONDS = 10.0
"""Elsewhere a long unit says at this pace that it is alive."""

NUM_LINES_KEPT = 30
"""Lines a notebook shows at once; how many scrolled away is said above them."""


def listener_of(progress: bool | None) -> Listener:
    """Choose who hears of a run: a notebook's display where there is one, else nobody unless asked."""
    if progress is False:
        return Silent()
    if _in_kernel():
        return Progress(_Redrawn().show, REDRAW_SECONDS)
    return Progress(_print_last, LINE_SECONDS) if progress else Silent()


def _in_kernel() -> bool:
    """Tell whether this process is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class Progress:
    """Keep the lines of a run and hand them on: all of them, the last being the unit at work.

    Parameters
    ----------
    show
        Given the lines that stay, then the line that will change (empty between units).
    pace_seconds
        At most once in so many seconds the changing line is shown again.
    """

    def __init__(self, show: Callable[[Sequence[str], str], None], pace_seconds: float) -> None:
        self._show, self._pace_seconds = show, pace_seconds
        self._lines: list[str] = []
        self._declared_bytes, self._last_seconds = 0, 0.0
        self._paces: dict[str, Pace] = {}

    def planned(self, plans: Sequence[StagePlan], budget: Budget) -> None:
        """Say which budget holds."""
        self._declared_bytes = budget.bytes
        self._tell(f"memory budget {format_bytes(budget.bytes)} ({budget.rule})")
        if budget.warning:
            self._tell(f"warning: {budget.warning}")

    def noted(self, text: str) -> None:
        """Keep a line."""
        self._tell(text)

    def started(self, unit: Unit, plan: StagePlan) -> None:
        """Begin the line of a unit."""
        self._paces[unit.name] = Pace(time.monotonic)
        self._last_seconds = time.monotonic()
        self._show(self._lines, f"...   {unit.name}")

    def sampled(self, unit: Unit, heartbeat: dict[str, float | str], high: HighWater) -> None:
        """Renew the line of the unit at work."""
        now = time.monotonic()
        if now - self._last_seconds < self._pace_seconds:
            return
        self._last_seconds = now
        done, total = float(heartbeat.get("done", 0)), float(heartbeat.get("total", 0))
        share = f" {min(1.0, done / total):.0%}" if total else ""
        memory = f"peak {format_bytes(high.held_bytes)} of {format_bytes(self._declared_bytes)}"
        pace = self._paces[unit.name].text(heartbeat)
        parts = [f"...   {unit.name:<16} {heartbeat.get('substep', '')}{share}", *([pace] if pace else []), memory]
        self._show(self._lines, ", ".join(parts))

    def finished(self, unit: Unit, record: dict[str, Any]) -> None:
        """Keep one line of a unit that is done."""
        used, planned = (format_bytes(record[f"{name}_private_bytes"]) for name in ("measured", "projected"))
        seconds = format_seconds(record["wall_seconds"])
        self._tell(f"done  {unit.name:<16} {seconds:>9}   used {used:>9} of {planned:>9} planned")

    def skipped(self, unit: Unit, record: dict[str, Any]) -> None:
        """Keep one line of a unit that was done before."""
        self._tell(f"kept  {unit.name:<16} done before, same content")

    def _tell(self, line: str) -> None:
        self._lines.append(line)
        self._show(self._lines, "")


class _Redrawn:
    """One output of a notebook's cell, replaced whenever there is something new."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, lines: Sequence[str], current: str) -> None:
        hidden = len(lines) - NUM_LINES_KEPT
        shown = ([f"({hidden} lines above)"] if hidden > 0 else []) + list(lines[-NUM_LINES_KEPT:])
        text = "\n".join([*shown, current] if current else shown)
        bundle = {"text/plain": text, "text/html": f"<pre>{escape(text)}</pre>"}
        if self._handle is None:
            self._handle = import_module("IPython.display").display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


def _print_last(lines: Sequence[str], current: str) -> None:
    """Write the newest line on standard error."""
    sys.stderr.write((current or lines[-1]) + "\n")
    sys.stderr.flush()
