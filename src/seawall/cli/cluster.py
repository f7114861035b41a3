"""``seawall cluster``: a node of a Ray cluster here, with a token and a named address; and what more of them give."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from seawall.budget.limits import find_budget
from seawall.cli.display import print_json
from seawall.cli.options import AsJson, Memory, Quiet
from seawall.pipeline.cluster.config import ClusterConfig
from seawall.pipeline.cluster.engine import token_of, token_path
from seawall.pipeline.cluster.launch import LOOPBACK, PORT, Node, join_head, make_token, start_head, stop_node
from seawall.pipeline.cluster.scale import Fleet, Job, costs_of, forecasts
from seawall.pipeline.config import load_config
from seawall.units import format_bytes, format_seconds, parse_bytes

app = typer.Typer(
    help="Start and stop this machine's node of a Ray cluster (token always, loopback by default),"
    " and predict its worth. Example: seawall cluster head",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Bind = Annotated[str, typer.Option("--bind", help="This machine's address that others reach.", metavar="ADDRESS")]
Cpus = Annotated[int | None, typer.Option("--cpus", help="Cores units may use; all where missing.", min=1)]
Token = Annotated[Path | None, typer.Option("--token", help="Token file; ~/.ray/auth_token where missing.")]
Folder = Annotated[Path | None, typer.Option("--folder", help="For Ray's logs and sockets; a short path.")]


@app.command()
def head(
    bind: Bind = LOOPBACK,
    port: Annotated[int, typer.Option("--port", help="Of the head.")] = PORT,
    memory: Memory = None,
    cpus: Cpus = None,
    token: Token = None,
    folder: Folder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Start a cluster here; this machine is its first node. A token is made where there is none.

    Without --bind only this machine reaches it. Example:

        seawall cluster head --bind 10.0.0.1 --memory 16GiB
    """
    path = token_path(token)
    made = make_token(path)
    node = _node(bind, memory, cpus, token, folder, port)
    address = start_head(node)
    if as_json:
        print_json({"address": address, "token": str(path), "is_token_new": made})
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
    console.print(f"cluster {address}; token {path}{' (new)' if made else ''}")
    console.print(f"other machines: copy the token, then  seawall cluster join {address} --bind THEIR_ADDRESS")
    console.print(f"then here:  seawall run CONFIG.yaml --cluster {address}")


@app.command()
def join(
    address: Annotated[str, typer.Argument(help="HOST:PORT of the head.", metavar="HOST:PORT")],
    bind: Bind = LOOPBACK,
    memory: Memory = None,
    cpus: Cpus = None,
    token: Token = None,
    folder: Folder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make this machine a node of a cluster. The head's token must be here.

    Example:

        seawall cluster join 10.0.0.1:6379 --bind 10.0.0.2 --memory 16GiB
    """
    join_head(_node(bind, memory, cpus, token, folder, PORT), address)
    if as_json:
        print_json({"address": address, "node": bind})
        return
    Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet).print(f"joined {address} as {bind}")


@app.command()
def stop(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """End every process of Ray on this machine; runs go on elsewhere.

    Example:

        seawall cluster stop
    """
    number = stop_node()
    if as_json:
        print_json({"processes": number})
        return
    Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet).print(f"ended {number} processes of Ray")


@app.command()
def token(token: Token = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Make a token for a cluster, readable by its owner alone; an existing one is kept. Its path is printed.

    Example:

        seawall cluster token
    """
    path = token_path(token)
    made = make_token(path)
    if as_json:
        print_json({"token": str(path), "is_token_new": made})
    elif not quiet:
        print(path)


@app.command()
def scale(  # noqa: PLR0913 - one option each
    runs: Annotated[
        list[Path], typer.Argument(help="Finished runs of one kind, of one or more sizes.", metavar="RUN…")
    ],
    nodes: Annotated[list[int], typer.Option("--nodes", help="Numbers of nodes to predict; may be repeated.", min=1)],
    table: Annotated[str | None, typer.Option("--table", help="Size of the table; else the run's.")] = None,
    folds: Annotated[int | None, typer.Option("--folds", help="Number of folds; else the run's.", min=1)] = None,
    at_once: Annotated[int, typer.Option("--at-once", help="Folds side by side on one node.", min=1)] = 1,
    storage: Annotated[str, typer.Option("--storage", help="What shared storage gives all nodes a second.")] = "1GiB",
    network: Annotated[str, typer.Option("--network", help="What one node's link gives a second.")] = "1200MiB",
    ingested: Annotated[bool, typer.Option("--ingested", help="The panel is there already.")] = False,
    copied: Annotated[bool, typer.Option("--copied", help="Each node copies the panel once.")] = False,
    cpu: Annotated[bool, typer.Option("--cpu", help="Take CPU seconds: the machine was busy with other work.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Predict a run over more nodes, or of a larger table, from what a finished run cost, and name what is slowest.

    Example:

        seawall cluster scale runs/pse --nodes 10 --nodes 100 --table 1TiB --folds 100
    """
    measured = [costs_of(run, load_config(run / "config.yaml").panel_path, "cpu" if cpu else "wall") for run in runs]
    largest = max(measured, key=lambda costs: costs.table_bytes)
    table_bytes = largest.table_bytes if table is None else parse_bytes(table, where="--table")
    num_folds, num_models = folds or largest.num_folds, largest.num_models
    job = Job(table_bytes=table_bytes, num_folds=num_folds, num_models=num_models, is_ingested=ingested)
    storage_bps, network_bps = parse_bytes(storage, where="--storage"), parse_bytes(network, where="--network")
    fleet = Fleet(
        num_nodes=1, units_at_once=at_once, storage_bps=storage_bps, network_bps=network_bps, is_copied=copied
    )
    found = forecasts(measured, job, nodes, fleet)
    if as_json:
        print_json({"costs": [asdict(costs) for costs in measured], "forecasts": [told.record() for told in found]})
        return
    table_of = Table("nodes", "whole run", "training", "predicting", "bytes moved", "slowest part")
    for told in found:
        parts = (told.total_seconds, told.seconds["train"], told.seconds["predict"])
        shown = [str(told.fleet.num_nodes), *map(format_seconds, parts), format_bytes(told.network_bytes)]
        table_of.add_row(*shown, told.bottleneck)
    Console(highlight=False, quiet=quiet).print(table_of)


def _node(bind: str, memory: str | None, cpus: int | None, token: Path | None, folder: Path | None, port: int) -> Node:
    found = token_of(ClusterConfig(token_file=token))
    budget = find_budget(memory)
    return Node(bind=bind, memory_bytes=budget.bytes, cpus=cpus, token=found, port=port, folder=folder)
