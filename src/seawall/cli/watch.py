"""``seawall watch``, and ``seawall status --watch``: look on while a run works."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from seawall.cli.display import print_json
from seawall.cli.live import PLAIN_SECONDS, is_live
from seawall.cli.options import AsJson, Quiet, RunFolder
from seawall.errors import ConfigError
from seawall.pipeline.watch.look import Snapshot, Watcher
from seawall.pipeline.watch.server import WatchServer
from seawall.units import format_bytes, format_seconds

LIVE_SECONDS = 0.5
ENDED = ("finished", "failed", "interrupted", "killed")


def watch(
    run: RunFolder,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Serve a page on this machine alone that shows a run while it works; end it with Ctrl-C.

    The address holds a secret; nothing else is answered. The run may end and start again while the page is open.

    Example: seawall watch runs/pse
    """
    try:
        server = WatchServer(Watcher(run), port)
    except OSError as error:
        found, do = error.strerror or str(error), "Choose another port, or 0."
        raise ConfigError(f"--port {port}", "cannot be opened", found=found, do=do) from error
    with server:
        if as_json:
            print_json({"url": server.url, "pid": os.getpid()})
        elif not quiet:
            print(server.url, flush=True)
        server.serve_forever()


def watch_in_terminal(run: Path, *, quiet: bool = False, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show a run until it ends: one display that renews itself, or plain lines where there is no terminal."""
    console, watcher = Console(highlight=False, quiet=quiet), Watcher(run)
    snapshot = watcher.look()
    if is_live(console):
        with Live(screen_of(snapshot), console=console, auto_refresh=False) as live:
            while snapshot.state not in ENDED:
                sleep(LIVE_SECONDS)
                snapshot = watcher.look()
                live.update(screen_of(snapshot), refresh=True)
        return
    console.print(escape(line_of(snapshot)), soft_wrap=True)
    while snapshot.state not in ENDED:
        sleep(PLAIN_SECONDS)
        snapshot = watcher.look()
        console.print(escape(line_of(snapshot)), soft_wrap=True)


def line_of(snapshot: Snapshot) -> str:
    """Write a look as one line."""
    if not snapshot.unit:
        return f"{snapshot.state}: {snapshot.happened}" if snapshot.happened else snapshot.state
    progress = f" {snapshot.done:g} of {snapshot.total:g}" if snapshot.total else ""
    place = f"{snapshot.unit}: {snapshot.substep}{progress}" if snapshot.substep else snapshot.unit
    parts = [place, *_numbers(snapshot), _memory(snapshot)]
    return ", ".join(part for part in parts if part)


def _numbers(snapshot: Snapshot) -> list[str]:
    last = snapshot.reports[-1] if snapshot.reports else {}
    ic = [f"{name} {last[key]:.4f}" for name, key in IC_KEYS if isinstance(last.get(key), float)]
    left = snapshot.seconds_left_in_stage
    return [
        "" if snapshot.loss is None else f"loss {snapshot.loss:.5f}",
        *ic,
        "" if snapshot.rows_per_second is None else f"{snapshot.rows_per_second:,.0f} rows/s",
        "" if left is None else f"{format_seconds(left)} left in this stage",
    ]


IC_KEYS = (("IC in sample", "train_ic"), ("IC", "valid_ic"), ("Rank IC", "valid_rank_ic"))


def _memory(snapshot: Snapshot) -> str:
    if snapshot.held_bytes is None or snapshot.declared_bytes is None:
        return ""
    return f"{format_bytes(snapshot.held_bytes)} of {format_bytes(snapshot.declared_bytes)}"


def screen_of(snapshot: Snapshot) -> Table:
    """Build the display of a look: a name and a text in each row."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    share = f"{snapshot.done / snapshot.total:.0%} " if snapshot.total else ""
    folds = "" if snapshot.fold is None else f", fold {snapshot.fold + 1} of {snapshot.num_folds or '?'}"
    last = snapshot.reports[-1] if snapshot.reports else {}
    wait, seconds = last.get("loader_wait_seconds"), last.get("seconds")
    machine = snapshot.machine
    rows = [
        ("run", f"{snapshot.name}: {snapshot.state}"),
        ("at work", f"{snapshot.stage}{folds}" if snapshot.unit else snapshot.happened),
        ("sub-step", f"{share}{snapshot.substep}"),
        ("numbers", ", ".join(part for part in _numbers(snapshot) if part)),
        ("loader wait", f"{wait / seconds:.1%} of the last report's time" if wait is not None and seconds else ""),
        ("memory", _memory(snapshot)),
        (
            "machine",
            f"load {machine.get('load')} on {machine.get('cores')} cores{_free(machine.get('available_bytes'))}",
        ),
        ("gpu", "; ".join(machine.get("gpu", ()))),
        ("finished", ", ".join(snapshot.finished)),
    ]
    for name, text in rows:
        if text:
            table.add_row(name, escape(text))
    return table


def _free(available_bytes: int | None) -> str:
    return "" if available_bytes is None else f", {format_bytes(available_bytes)} available"
