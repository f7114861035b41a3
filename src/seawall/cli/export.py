"""``seawall export``: a panel store, or the predictions of a run, for other programs."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from seawall.bridges.memory import KINDS
from seawall.budget.limits import Reserve as Left
from seawall.budget.limits import find_budget
from seawall.cli.display import Display, print_json
from seawall.cli.options import AsJson, Memory, Quiet, Reserve
from seawall.cli.run import own_command
from seawall.errors import ConfigError, nearest
from seawall.pipeline import upkeep
from seawall.pipeline.upkeep import Upkeep


def export(
    panel: Annotated[Path, typer.Argument(help="Panel store, or run folder.", metavar="X.panel|RUN")],
    to: Annotated[
        str,
        typer.Option(
            help="parquet, qlib, zipline, backtrader; of a run also qlib-pred, alphalens, vectorbt.", metavar="KIND"
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder to write; it must not exist yet.", metavar="DIR")],
    memory: Memory = None,
    reserve: Reserve = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a panel store, or the predictions of a run, as other programs read them, in bounded memory.

    parquet: one long table. qlib: a provider folder. zipline: csvdir. backtrader: one CSV an entity. qlib-pred: the
    frame Qlib keeps as pred.pkl, as Parquet. alphalens: factor_data. vectorbt: wide frames of scores and prices.

    Example: seawall export market.panel --to qlib --output qlib_data
    Example: seawall export runs/pse --to alphalens --output factors
    """
    if to not in KINDS:
        raise ConfigError("--to", "unknown kind", found=repr(to), do=nearest(to, KINDS))
    store, predictions = upkeep.source_of(panel, to)
    with Display(quiet=quiet or as_json) as display:
        budget = find_budget(memory, reserve=Left(reserve))
        work = Upkeep("export", store, budget, display, own_command())
        record = upkeep.export(work, to, output, predictions)
    if as_json:
        print_json(record)
        return
    summary, console = record["summary"], Console(highlight=False, soft_wrap=True, quiet=quiet)
    console.print(f"{escape(str(output))}: {summary['num_rows']:,} rows")
    for name, source in summary["renamed"].items():
        console.print(f"  {escape(name)} is {escape(source)}")
