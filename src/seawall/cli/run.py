"""``seawall run``: everything that is not done."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from seawall.budget.limits import Budget, find_budget
from seawall.budget.limits import Reserve as Left
from seawall.cli import completion
from seawall.cli.display import Display, memory_table, print_json
from seawall.cli.options import AsJson, Cluster, ConfigFile, Memory, Quiet, Reserve
from seawall.pipeline.api import start
from seawall.pipeline.cluster.crews import lends_a_hand
from seawall.pipeline.config import RunConfig, load_config, on_cluster
from seawall.pipeline.result import Run
from seawall.pipeline.run import Order

Stage = Annotated[
    str | None,
    typer.Option(metavar="STAGE", help="ingest, folds, train, predict, evaluate, join, backtest, search or report."),
]


def run(
    config: ConfigFile,
    memory: Memory = None,
    reserve: Reserve = None,
    first: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="STAGE", help="Do this stage and the later ones anew.", autocompletion=completion.stages
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only", metavar="STAGE", help="Do this stage alone, from what is there.", autocompletion=completion.stages
        ),
    ] = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run a config from tables to report; finished stages and folds are kept.

    Killed or interrupted, the same command continues. Example:

        seawall run examples/pse.yaml --memory 1GiB
    """
    loaded = on_cluster(load_config(config), cluster)
    if lends_a_hand(loaded):
        return
    order = Order(first, only, own_command(without="--from"))
    finished = run_config(loaded, memory, order, quiet=quiet or as_json, reserve=reserve)
    if as_json:
        print_json(finished.record)


def run_config(config: RunConfig, memory: str | None, order: Order, *, quiet: bool, reserve: str | None = None) -> Run:
    """Run with a display, then print memory by unit and where the report is."""
    budget = budget_of(config, memory, reserve)
    with Display(quiet=quiet) as display:
        finished = start(config, budget, display, order)
    console = Console(stderr=True, quiet=quiet, highlight=False)
    console.print(memory_table(finished.record["units"]))
    if finished.report.exists():
        console.print(f"report: {finished.report}", soft_wrap=True)
    return finished


def budget_of(config: RunConfig, memory: str | None, reserve: str | None) -> Budget:
    """Find the budget of a run from the flags, the config and the machine."""
    left = Left(reserve, config.memory.reserve)
    return find_budget(memory, config_value=config.memory.budget, reserve=left)


def own_command(*, without: str = "") -> str:
    """Write this command line the way the user would type it to continue, without an option that starts anew."""
    arguments = iter(sys.argv[1:])
    kept = []
    for argument in arguments:
        if without and argument == without:
            next(arguments, None)
        elif not without or not argument.startswith(f"{without}="):
            kept.append(argument)
    program = Path(sys.argv[0]).name
    started = [Path(sys.executable).name, "-m", "seawall"] if program == "__main__.py" else [program]
    return shlex.join([*started, *kept])
