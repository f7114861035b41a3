"""What a person sees while stages run: a bar with memory against the budget, or plain lines without a terminal."""

import json
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.budget.meter import HighWater
from seawall.cli.live import PLAIN_SECONDS, is_live
from seawall.pipeline.pace import Pace
from seawall.pipeline.stages import STAGES, Unit
from seawall.units import format_bytes, format_seconds


class Display:
    """Show a run on standard error; standard output stays free for results.

    Parameters
    ----------
    quiet
        Show nothing but errors.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._is_live = is_live(self.console)
        self._declared_bytes = 0
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=18),
            TextColumn("{task.fields[memory]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            refresh_per_second=5,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told_seconds: dict[str, float] = {}
        self._paces: dict[str, Pace] = {}

    def __enter__(self) -> Self:
        if self._is_live:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_live:
            self._bar.stop()

    def planned(self, plans: Sequence[StagePlan], budget: Budget) -> None:
        """Say which budget holds."""
        self._declared_bytes = budget.bytes
        self.console.print(f"memory budget {format_bytes(budget.bytes)} ({escape(budget.rule)})")
        if budget.warning:
            self.console.print(f"[yellow]warning[/] {escape(budget.warning)}")

    def noted(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(escape(text), soft_wrap=True)

    def started(self, unit: Unit, plan: StagePlan) -> None:
        """Start the bar of a unit."""
        self._end_task(unit)
        self._paces[unit.name] = Pace(time.monotonic)
        if self._is_live:
            self._tasks[unit.name] = self._bar.add_task(unit.name, total=None, memory="")

    def sampled(self, unit: Unit, heartbeat: dict[str, float | str], high: HighWater) -> None:
        """Move the bar."""
        substep, done, total = str(heartbeat.get("substep", "")), heartbeat.get("done", 0), heartbeat.get("total", 0)
        memory = f"{format_bytes(high.held_bytes)} of {format_bytes(self._declared_bytes)}"
        pace = self._paces[unit.name].text(heartbeat)
        if unit.name in self._tasks:
            self._bar.update(
                self._tasks[unit.name],
                description=f"{unit.name:<16} {escape(substep)[:26]:<26}",
                completed=float(done),
                total=float(total) or None,
                memory=f"{memory}  {pace}",
            )
            return
        now = time.monotonic()
        told_seconds = self._told_seconds.get(unit.name, 0.0)
        if substep and not self._is_live and (now - told_seconds > PLAIN_SECONDS):
            if told_seconds:
                progress = f" {done} of {total}" if total else ""
                self.console.print(
                    f"  {unit.name}: {escape(substep)}{progress}{', ' + pace if pace else ''}, peak {memory}"
                )
            self._told_seconds[unit.name] = now

    def finished(self, unit: Unit, record: dict[str, Any]) -> None:
        """Replace the bar by one line that stays."""
        self._end_task(unit)
        measured, projected = record["measured_private_bytes"], record["projected_private_bytes"]
        self.console.print(
            f"[green]done[/]  {unit.name:<16} {format_seconds(record['wall_seconds']):>9}"
            f"   used {format_bytes(measured):>8} of {format_bytes(projected):>8} planned"
        )

    def skipped(self, unit: Unit, record: dict[str, Any]) -> None:
        """Say that a unit was done before."""
        self._end_task(unit)
        self.console.print(f"[dim]kept  {unit.name:<18} done before, same content[/]")

    def _end_task(self, unit: Unit) -> None:
        self._told_seconds.pop(unit.name, None)
        if unit.name in self._tasks:
            self._bar.remove_task(self._tasks.pop(unit.name))


def outside_json(record: dict[str, Any]) -> dict[str, Any]:
    """Put a task's summary first, and what it cost under ``memory``."""
    cost = {name: value for name, value in record.items() if name not in ("summary", "outputs", "ok")}
    return {**record["summary"], "memory": cost}


def print_json(value: object) -> None:
    """Print a result for machines on standard output."""
    print(json.dumps(value, indent=1, sort_keys=True, allow_nan=False))


def rows_table(rows: Sequence[tuple[str, str]]) -> Table:
    """Build the screen that stands in place of ``Killed``: a name and a text in each row, wrapped to the terminal."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(f"  {escape(name)}", escape(text))
    return table


def memory_table(units: dict[str, dict[str, Any]]) -> Table:
    """Build the table of projected against measured memory by unit."""
    table = Table(title="memory by unit: private bytes, projected against measured", title_justify="left")
    table.add_column("unit")
    for name in ("projected", "measured", "used", "cgroup peak", "wall"):
        table.add_column(name, justify="right")
    for unit, record in sorted(units.items(), key=lambda item: (STAGES.index(item[1]["stage"]), item[0])):
        projected, measured = record["projected_private_bytes"], record["measured_private_bytes"]
        peak = record["cgroup_peak_bytes"]
        table.add_row(
            escape(unit),
            format_bytes(projected),
            format_bytes(measured),
            f"{measured / max(1, projected):.0%}",
            format_bytes(peak) if peak is not None else "-",
            format_seconds(record["wall_seconds"]),
        )
    return table
