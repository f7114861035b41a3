"""``seawall import``: weights and predictions that people already have become those of a run."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from seawall.budget.limits import Reserve as Left
from seawall.budget.limits import find_budget
from seawall.cli.display import Display, print_json
from seawall.cli.options import AsJson, Memory, Quiet, Reserve, ScoreColumn, TimeFormat
from seawall.cli.run import own_command, run_config
from seawall.errors import ConfigError
from seawall.pipeline import upkeep
from seawall.pipeline.config import checked_model, parse_config, read_yaml
from seawall.pipeline.run import Order
from seawall.pipeline.upkeep import Upkeep
from seawall.train.import_config import WEIGHT_ENDINGS, ModelsConfig

PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".ckpt")


def take_in(  # noqa: PLR0913 - one option each
    files: Annotated[
        list[Path],
        typer.Argument(help="State dicts, one a fold (.safetensors, .pt), or tables of scores.", metavar="FILE..."),
    ],
    panel: Annotated[Path, typer.Option(help="Panel store they belong to.", metavar="X.panel")],
    output: Annotated[Path, typer.Option(help="Run folder to make.", metavar="RUN")],
    config: Annotated[
        Path | None, typer.Option("--config", help="Of state dicts: YAML with train, scaling, strip_prefix.")
    ] = None,
    entity: Annotated[str | None, typer.Option(help="Of scores: the column that names the entity.")] = None,
    time: Annotated[str | None, typer.Option(help="Of scores: the column with the time.")] = None,
    prediction: ScoreColumn = None,
    target: Annotated[str | None, typer.Option(help="Of scores: the target they are judged by.")] = None,
    duplicates: Annotated[str, typer.Option(help="Of scores: repeated keys: error, first or last.")] = "error",
    time_format: TimeFormat = None,
    memory: Memory = None,
    reserve: Reserve = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make the models, or the predictions, of a run of what was made elsewhere; pickles are never loaded.

    Examples
    --------
        seawall import a.pt b.pt --config mine.yaml --panel x.panel --output mine

        seawall import scores.csv --entity id --time day --panel x.panel --output r
    """
    _refuse_pickles(files)
    if any(file.suffix in WEIGHT_ENDINGS for file in files):
        if config is None or entity is not None or time is not None:
            do = "Write a YAML with train: and scaling:, and name it with --config."
            raise ConfigError("--config", "state dicts need the config they were trained with", do=do)
        models = checked_model(ModelsConfig, read_yaml(config), str(config))
        with Display(quiet=quiet or as_json) as display:
            work = Upkeep("import", panel, find_budget(memory, reserve=Left(reserve)), display, own_command())
            record = upkeep.import_models(work, files, models, output / "models")
        if as_json:
            print_json(record)
        elif not quiet:
            _tell_models(record, output / "models", panel)
        return
    if entity is None or time is None or config is not None:
        raise ConfigError(
            "import", "scores need the columns of their keys", do="Name --entity and --time, no --config."
        )
    keys = {"entity": entity, "time": time, "prediction": prediction, "target": target}
    scores = {"paths": [str(file) for file in files], "duplicates": duplicates, "time_format": time_format, **keys}
    values = {"name": output.name, "output": str(output), "panel": str(panel), "predictions": scores}
    order = Order(None, "predict", own_command())
    finished = run_config(parse_config(values, "import"), memory, order, quiet=quiet or as_json, reserve=reserve)
    summary = finished.record["units"]["predict/fold_00"]["summary"]
    if as_json:
        print_json(summary)
        return
    left = sum(summary["unmatched"].values())
    text = f"{escape(str(output / 'predictions'))}: {summary['num_rows']:,} predictions, {left:,} without a row"
    Console(highlight=False, soft_wrap=True, quiet=quiet).print(text)


def _tell_models(record: dict[str, Any], models: Path, panel: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{escape(str(models))}: {record['summary']['num_models']} models")
    console.print(f"predict with them: seawall predict --models {escape(str(models))} --panel {escape(str(panel))}")


def _refuse_pickles(files: list[Path]) -> None:
    for file in files:
        if not file.is_file():
            raise ConfigError(str(file), "no such file", do="Check the path.")
        if file.suffix in PICKLES:
            do = "Save the state dict with safetensors, or scores as Parquet or CSV."
            raise ConfigError(str(file), "pickles are never loaded: loading one runs its code", do=do)
