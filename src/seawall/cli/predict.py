"""``seawall predict``: the predict stage of a run, or predictions of finished models wherever they are."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from seawall.cli.display import Display, print_json
from seawall.cli.options import AsJson, Memory, OfRun, Quiet, Reserve
from seawall.cli.run import budget_of, own_command, run_config
from seawall.cli.stages import only
from seawall.errors import ConfigError
from seawall.pipeline import upkeep
from seawall.pipeline.config import RunConfig, load_config, parse_config
from seawall.pipeline.run import Order
from seawall.pipeline.upkeep import Upkeep

Models = Annotated[
    Path | None,
    typer.Option("--models", help="Instead of a config: folder of finished models, such as models/ of a run."),
]
PanelOption = Annotated[
    Path | None, typer.Option("--panel", help="Panel store to predict; the one beside models/ when missing.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", help="Run folder to predict into; the one of models/ when missing and nothing else is."),
]


def predict(  # noqa: PLR0913 - one option each
    config: OfRun = None,
    models: Models = None,
    panel: PanelOption = None,
    output: OutputOption = None,
    latest: Annotated[
        bool, typer.Option("--latest", help="Of a config: only dates after the last test, with target weights.")
    ] = False,
    strategy: Annotated[
        str | None, typer.Option("--strategy", help="With --latest: of the backtest section; the first when missing.")
    ] = None,
    max_age: Annotated[
        int | None,
        typer.Option(
            "--max-age",
            min=0,
            help="With --latest: refuse models older than N dates; missing: warn past their test.",
        ),
    ] = None,
    memory: Memory = None,
    reserve: Reserve = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Predict each fold's test segment into the prediction store.

    With --models from finished models alone: nothing else of their run is needed. With --latest the dates that append
    has brought since, with what a strategy would hold.

    Examples
    --------
        seawall predict examples/pse.yaml

        seawall predict examples/pse.yaml --latest --strategy top_20

        seawall predict --models runs/pse/models --panel pse.panel --output again
    """
    if models is None:
        if config is None or panel is not None or output is not None:
            do = "Name a config, or --models with --panel and --output."
            raise ConfigError("predict", "neither a config nor models to predict with", do=do)
        if latest:
            _latest(config, strategy, max_age, memory, reserve, as_json=as_json)
            return
        only(("predict",), config, memory, as_json=as_json, quiet=quiet, reserve=reserve)
        return
    if config is not None:
        raise ConfigError("predict", "a config and --models exclude each other", found=str(config))
    of_models = config_of_models(models, panel, output)
    for stage in ("folds", "predict"):
        order = Order(None, stage, own_command())
        finished = run_config(of_models, memory, order, quiet=quiet or as_json, reserve=reserve)
    if as_json:
        units: dict[str, Any] = finished.record["units"]
        print_json({name: unit for name, unit in units.items() if name.startswith("predict/")})
    else:
        where = escape(str(of_models.output / "predictions"))
        Console(highlight=False, soft_wrap=True).print(f"predictions: {where}")


def _latest(
    config: Path, strategy: str | None, max_age: int | None, memory: str | None, reserve: str | None, *, as_json: bool
) -> None:
    loaded = load_config(config)
    if loaded.backtest is None:
        raise ConfigError("predict --latest", "the config has no strategy to weigh by", do="Add a backtest section.")
    name = strategy or loaded.backtest.strategies[0].name
    with Display(quiet=as_json) as display:
        work = Upkeep("latest", loaded.panel_path, budget_of(loaded, memory, reserve), display, own_command())
        record = upkeep.score_latest(work, loaded, name, max_age)
    if as_json:
        print_json(record)
        return
    summary, console = record["summary"], Console(highlight=False, soft_wrap=True)
    for warning in summary["warnings"]:
        console.print(f"warning: {escape(warning)}")
    written = ", ".join(summary["dates"][-3:]) or "nothing new"
    console.print(f"{escape(summary['output'])}: {len(summary['dates'])} dates ({written}), {summary['num_kept']} kept")


def config_of_models(models: Path, panel: Path | None, output: Path | None) -> RunConfig:
    """Make the config of a run that predicts with finished models.

    Raises
    ------
    ConfigError
        Where the panel or the folder to write into cannot be told.
    """
    run = models.absolute().parent
    if output is None and (run / "run.json").exists():
        do = "Name --output, or run the config of that folder."
        raise ConfigError("--output", "the models are part of a run, which stays as it is", found=str(run), do=do)
    panel, output = panel or _panel_beside(models), output or models.parent
    values = {"name": run.name, "output": str(output), "panel": str(panel), "models": str(models)}
    return parse_config(values, "predict")


def _panel_beside(models: Path) -> Path:
    found = sorted(path for path in models.absolute().parent.glob("*.panel") if path.is_dir())
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ConfigError("--panel", "which panel to predict cannot be told", found=names, do="Name --panel X.panel.")
    return found[0]
