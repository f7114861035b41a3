"""One command for each stage after ingest: the same as ``seawall run CONFIG --only STAGE``."""

from seawall.cli.display import print_json
from seawall.cli.options import AsJson, ConfigFile, Memory, Quiet, Reserve
from seawall.cli.run import own_command, run_config
from seawall.pipeline.config import load_config
from seawall.pipeline.run import Order


def only(
    stages: tuple[str, ...],
    config: ConfigFile,
    memory: str | None,
    *,
    as_json: bool,
    quiet: bool,
    reserve: str | None = None,
) -> None:
    """Run some stages of a config alone, from what is there."""
    loaded = load_config(config)
    for stage in stages:
        finished = run_config(
            loaded, memory, Order(None, stage, own_command()), quiet=quiet or as_json, reserve=reserve
        )
    if as_json:
        units = finished.record["units"]
        print_json({name: unit for name, unit in units.items() if name.split("/")[0] in stages})


def train(
    config: ConfigFile, memory: Memory = None, reserve: Reserve = None, as_json: AsJson = False, quiet: Quiet = False
) -> None:
    """Cut the folds and train one model per fold; trained folds are kept.

    Example: seawall train examples/pse.yaml --memory 1GiB
    """
    only(("folds", "train"), config, memory, as_json=as_json, quiet=quiet, reserve=reserve)


def backtest(
    config: ConfigFile, memory: Memory = None, reserve: Reserve = None, as_json: AsJson = False, quiet: Quiet = False
) -> None:
    """Trade the predictions with costs and delay.

    Example: seawall backtest examples/pse.yaml
    """
    only(("backtest",), config, memory, as_json=as_json, quiet=quiet, reserve=reserve)
