"""``seawall export``: a panel store for other programs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from seawall.bridges.memory import KINDS
from seawall.budget.limits import Reserve as Left
from seawall.budget.limits import find_budget
from seawall.cli.display import Display, print_json
from seawall.cli.options import AsJson, Memory, Reserve
from seawall.cli.run import own_command
from seawall.errors import ConfigError, nearest
from seawall.pipeline import upkeep
from seawall.pipeline.upkeep import Upkeep


def export(
    panel: Annotated[Path, typer.Argument(help="Panel store.", metavar="X.panel")],
    to: Annotated[str, typer.Option(help="parquet, or qlib: a provider folder.", metavar="KIND")],
    output: Annotated[Path, typer.Option(help="Folder to write; it must not exist yet.", metavar="DIR")],
    memory: Memory = None,
    reserve: Reserve = None,
    as_json: AsJson = False,
) -> None:
    """Write a panel store as Parquet or as a Qlib provider, in bounded memory.

    Example: seawall export market.panel --to qlib --output qlib_data
    """
    if to not in KINDS:
        raise ConfigError("--to", "unknown kind", found=repr(to), do=nearest(to, KINDS))
    with Display(quiet=as_json) as display:
        budget = find_budget(memory, reserve=Left(reserve))
        record = upkeep.export(Upkeep("export", panel, budget, display, own_command()), to, output)
    if as_json:
        print_json(record)
        return
    summary, console = record["summary"], Console(highlight=False, soft_wrap=True)
    console.print(f"{escape(str(output))}: {summary['num_rows']:,} rows")
    for name, source in summary["renamed"].items():
        console.print(f"  {escape(name)} is {escape(source)}")
