"""``seawall status``: what a run has finished, what happened to it, and what to type next."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from seawall.cli.display import memory_table, print_json, rows_table
from seawall.cli.options import AsJson, Quiet, RunFolder
from seawall.cli.watch import watch_in_terminal
from seawall.pipeline.aftermath import aftermath
from seawall.pipeline.attempt import what_was_left
from seawall.pipeline.journal import last_report
from seawall.pipeline.lock import lock_owner
from seawall.pipeline.manifest import read_run_record
from seawall.pipeline.side_by_side import side_folders


def status(
    run: RunFolder,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and show the run until it ends.")] = False,
    quiet: Quiet = False,
) -> None:
    """Show what happened to a run, what is safe, what to type next, and memory projected against measured.

    Example: seawall status runs/pse

    Example: seawall status runs/pse --watch
    """
    if watch:
        watch_in_terminal(run, quiet=quiet or as_json)
    record, found = read_run_record(run), aftermath(run)
    places = (run, *side_folders(run)) if lock_owner(run) is None else ()
    left = next(filter(None, map(what_was_left, places)), None)
    if as_json:
        more = {"running_pid": lock_owner(run), "unfinished": last_report(run), **asdict(found)}
        more["ended"] = left.record() if left is not None else None
        print_json({**record, **more})
        return
    console = Console(highlight=False, quiet=quiet)
    console.print(f"run {escape(record['name'])} in {escape(str(run))}", soft_wrap=True)
    if record["units"]:
        console.print(memory_table(record["units"]))
    happened = left.headline if left is not None and found.state == "failed" else found.happened
    console.print(f"[bold]what happened[/]  {escape(happened)}", soft_wrap=True)
    console.print(f"[bold]what is safe[/]   {escape(found.safe)}", soft_wrap=True)
    console.print(f"[bold]type next[/]      {escape(found.to_type or 'nothing')}", soft_wrap=True)
    if left is not None:
        console.print("[bold]in detail[/]")
        console.print(rows_table(left.rows))
