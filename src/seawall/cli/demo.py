"""``seawall demo``: the built-in real panel, end to end."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
import yaml

from seawall.cli.display import print_json
from seawall.cli.options import AsJson, Quiet, Reserve
from seawall.cli.run import own_command, run_config
from seawall.pipeline.config import parse_config
from seawall.pipeline.run import Order


def demo(
    memory: Annotated[str, typer.Option("--memory", metavar="SIZE", help="Memory budget.")] = "1GiB",
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Run folder; report.html is in it.")] = Path(
        "seawall-demo"
    ),
    reserve: Reserve = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run the Philippine equities panel from CSV to report: ingest, 4 folds of LSTM with attention, IC, backtest.

    Killed or interrupted, the same command continues. Example:

        seawall demo --memory 1GiB --output seawall-demo
    """
    text = files("seawall.datasets").joinpath("pse_equities", "demo.yaml").read_text(encoding="utf-8")
    config = parse_config(yaml.safe_load(text) | {"output": str(output)}, "demo.yaml")
    finished = run_config(config, memory, Order(command=own_command()), quiet=quiet or as_json, reserve=reserve)
    if as_json:
        print_json(finished.record)
