"""``seawall clean``: sweep what killed runs have left."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall.cli.display import print_json
from seawall.cli.options import AsJson, Quiet
from seawall.pipeline.clean import CleanChoice, Swept, clean
from seawall.pipeline.litter import Litter
from seawall.units import format_bytes, format_seconds, parse_bytes, parse_seconds

Folders = Annotated[
    list[Path] | None,
    typer.Argument(help="Run folders and panel stores; without one only temporary folders and cgroups.", metavar="RUN"),
]
OlderThan = Annotated[str | None, typer.Option(metavar="SPAN", help="Leave what is younger, for example than 7d.")]
Limit = Annotated[str | None, typer.Option(metavar="SIZE", help="Leave as much as this, the newest, for example 2GiB.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would go; remove nothing.")]


def sweep(
    runs: Folders = None,
    older_than: OlderThan = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Sweep what killed runs have left: half-written files, spilled rows, unused segments, empty cgroups.

    Never touched: what a running process holds, published files, progress an unfinished run continues from, and
    anything behind a symbolic link. Example:

        seawall clean runs/pse --older-than 7d --dry-run
    """
    choice = CleanChoice(
        older_than_seconds=parse_seconds(older_than, where="--older-than") if older_than else 0.0,
        limit_bytes=parse_bytes(limit, where="--limit") if limit else 0,
        is_dry=dry_run,
    )
    swept = clean(runs or [], choice)
    if as_json:
        print_json(_record(swept, dry_run))
    elif not quiet:
        _show(swept, dry_run)
    if swept.failed:
        raise typer.Exit(5)


def _record(swept: Swept, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "removed": [_litter(litter) for litter in swept.removed],
        "kept": [_litter(litter) for litter in swept.kept],
        "in_use": [{"path": str(path), "by": by} for path, by in swept.in_use],
        "failed": [{"path": str(path), "why": why} for path, why in swept.failed],
        "freed_bytes": sum(litter.bytes for litter in swept.removed),
    }


def _litter(litter: Litter) -> dict[str, str | int | float]:
    age_seconds = round(max(time.time() - litter.modified_seconds, 0.0), 1)
    return {"path": str(litter.path), "kind": litter.kind, "bytes": litter.bytes, "age_seconds": age_seconds}


def _show(swept: Swept, dry_run: bool) -> None:
    console = Console(highlight=False)
    for title, found in (("would go" if dry_run else "removed", swept.removed), ("kept", swept.kept)):
        if found:
            console.print(_table(title, found))
    for path, by in swept.in_use:
        console.print(f"left alone: {_shown(path)} is used by {escape(by)}", soft_wrap=True)
    for path, why in swept.failed:
        console.print(f"[red]not removed[/]: {_shown(path)}: {escape(why)}", soft_wrap=True)
    freed = format_bytes(sum(litter.bytes for litter in swept.removed))
    nothing = "nothing to sweep" if not swept.removed else ""
    console.print(nothing or f"{freed} {'would be freed' if dry_run else 'freed'}")


def _table(title: str, found: list[Litter]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("what", overflow="fold")
    table.add_column("why")
    for name in ("size", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    for litter in found:
        age = format_seconds(max(time.time() - litter.modified_seconds, 0.0))
        table.add_row(_shown(litter.path), litter.kind, format_bytes(litter.bytes), age)
    return table


def _shown(path: Path) -> str:
    """Write a path on one line, whatever is in its name."""
    text = str(path)
    return escape(text if text.isprintable() else ascii(text)[1:-1])
