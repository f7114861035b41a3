"""What renews itself on a terminal and is plain lines elsewhere, and the progress of work that this process does."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from seawall.budget.processes import own_private_bytes
from seawall.units import format_bytes

PLAIN_SECONDS = 10.0
"""Without a terminal long work says at this pace that it is alive."""


def is_live(console: Console) -> bool:
    """Tell whether lines can be drawn again: a real terminal that can move its cursor.

    FORCE_COLOR asks for colours in a pipe; a bar redrawn there would fill it with every one of its states.
    """
    return console.is_terminal and not console.is_dumb_terminal and not console.quiet and console.file.isatty()


class OwnProgress:
    """Show on standard error how far work in this process is, and what the process holds.

    Parameters
    ----------
    name
        What is done.
    quiet
        Show nothing.
    """

    def __init__(self, name: str, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._name, self._clock, self._told_seconds = name, clock, clock()
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=18), TextColumn("{task.fields[memory]}"))
        self._bar = Progress(*columns, TimeElapsedColumn(), console=self.console, transient=True)
        self._task = self._bar.add_task(name, total=None, memory="")

    def __enter__(self) -> Self:
        if is_live(self.console):
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if is_live(self.console):
            self._bar.stop()

    def moved(self, done: int, total: int) -> None:
        """Show that so many of so many pieces are done."""
        if is_live(self.console):
            self._bar.update(self._task, completed=done, total=total, memory=format_bytes(own_private_bytes()))
        elif self._clock() - self._told_seconds > PLAIN_SECONDS:
            self.console.print(f"  {self._name}: {done:,} of {total:,}, {format_bytes(own_private_bytes())}")
            self._told_seconds = self._clock()
