"""``seawall append`` and ``seawall compact``: rows on top of a panel store, and one segment of several."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from seawall.budget.limits import Reserve as Left
from seawall.budget.limits import find_budget
from seawall.cli.display import Display, print_json
from seawall.cli.options import AsJson, Memory, Quiet, Reserve
from seawall.cli.run import own_command
from seawall.pipeline import upkeep
from seawall.pipeline.upkeep import Upkeep

Sources = Annotated[
    list[str],
    typer.Argument(help="Tables like those the panel was made of: files, folders or globs.", metavar="SOURCE..."),
]
PanelFolder = Annotated[Path, typer.Argument(help="Panel store.", metavar="X.panel")]


def append(
    sources: Sources,
    panel: Annotated[Path, typer.Option(help="The panel store to add to.", metavar="X.panel")],
    memory: Memory = None,
    reserve: Reserve = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Add new dates, new entities and late rows to a panel store; folds that saw nothing of it stay as they are.

    Example: seawall append bars/2024-06-03.parquet --panel market.panel
    """
    with Display(quiet=quiet or as_json) as display:
        budget = find_budget(memory, reserve=Left(reserve))
        record = upkeep.append(Upkeep("append", panel, budget, display, own_command()), sources)
    if as_json:
        print_json(record)
    elif not quiet:
        _tell_append(record["summary"], panel)


def _tell_append(summary: dict[str, Any], panel: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not summary["appended"]:
        console.print(f"{escape(str(panel))}: nothing to add, these rows are in it already")
        return
    shape = summary["shape"]
    console.print(
        f"{escape(str(panel))}: {summary['num_new_rows']:,} new rows, {summary['num_rewritten_rows']:,} before them"
        f" written again; now {shape['num_rows']:,} rows, {shape['num_entities']:,} entities,"
        f" {shape['num_dates']:,} dates"
    )
    since = summary["first_changed"]
    console.print(f"  the first change is at {since}: folds whose test starts later are trained again, others stay")
    for name in ("bad_rows", "dropped_rows"):
        for reason, count in summary["ingest"][name].items():
            console.print(f"  {name.replace('_', ' ')}: {count:,} ({escape(reason)})")
    if summary["num_segments"] > 1:
        console.print(f"  {summary['num_segments']} segments; seawall compact makes them one")


def compact(
    panel: PanelFolder, memory: Memory = None, reserve: Reserve = None, as_json: AsJson = False, quiet: Quiet = False
) -> None:
    """Make one segment of several: the same rows, read faster.

    Example: seawall compact market.panel
    """
    with Display(quiet=quiet or as_json) as display:
        budget = find_budget(memory, reserve=Left(reserve))
        record = upkeep.compact(Upkeep("compact", panel, budget, display, own_command()))
    if as_json:
        print_json(record)
        return
    summary = record["summary"]
    text = f"{summary['num_segments']} segments are one now" if summary["compacted"] else "one segment, nothing to do"
    console = Console(highlight=False, soft_wrap=True, quiet=quiet)
    console.print(f"{escape(str(panel))}: {text}, {summary['num_rows']:,} rows")
