"""``seawall cluster``: start and stop this machine's node of a Ray cluster, with a token and a named address."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from seawall.budget.limits import find_budget
from seawall.cli.display import print_json
from seawall.cli.options import AsJson, Memory, Quiet
from seawall.pipeline.cluster.config import ClusterConfig
from seawall.pipeline.cluster.engine import token_of, token_path
from seawall.pipeline.cluster.launch import LOOPBACK, PORT, Node, join_head, make_token, start_head, stop_node

app = typer.Typer(
    help="Start and stop this machine's node of a Ray cluster: token always, loopback by default."
    " Example: seawall cluster head",
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
def stop(bind: Bind = LOOPBACK, token: Token = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """End every process of Ray on this machine; runs go on elsewhere.

    Example:

        seawall cluster stop
    """
    stop_node(token_path(token), bind)
    if as_json:
        print_json({"stopped": True})
        return
    Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet).print("stopped every process of Ray here")


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


def _node(bind: str, memory: str | None, cpus: int | None, token: Path | None, folder: Path | None, port: int) -> Node:
    found = token_of(ClusterConfig(token_file=token))
    budget = find_budget(memory)
    return Node(bind=bind, memory_bytes=budget.bytes, cpus=cpus, token=found, port=port, folder=folder)
