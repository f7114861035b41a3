"""``seawall evaluate``: exact errors, IC and Rank IC of a run, or of anybody's scores."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from seawall.cli.judged import show_judged, show_run
from seawall.cli.options import (
    AsJson,
    Duplicates,
    Memory,
    OfRun,
    Quiet,
    Reserve,
    ReturnsEntity,
    ReturnsTime,
    ScoreColumn,
    ScoreDuplicates,
    Scores,
    TimeFormat,
)
from seawall.cli.outside import Asked, act_outside
from seawall.cli.stages import only
from seawall.errors import ConfigError
from seawall.evaluate.config import TablesConfig
from seawall.pipeline.config import checked_model, load_config
from seawall.pipeline.outside import evaluate_tables


def evaluate(  # noqa: PLR0913 - one option each
    config: OfRun = None,
    predictions: Scores = None,
    entity: Annotated[str | None, typer.Option(help="Column that names the entity; a usual name when missing.")] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time; a usual name when missing.")] = None,
    prediction: ScoreColumn = None,
    target: Annotated[str | None, typer.Option(help="Column of the predictions with what they predict.")] = None,
    returns: Annotated[
        list[str] | None, typer.Option(help="Or a table with the target: files, folders or globs.", metavar="PATH")
    ] = None,
    return_column: Annotated[str | None, typer.Option(help="Its column; a usual name when missing.")] = None,
    returns_entity: ReturnsEntity = None,
    returns_time: ReturnsTime = None,
    group: Annotated[
        str | None, typer.Option(help="Column of the predictions: also IC within each of its groups, as a sector.")
    ] = None,
    horizon: Annotated[int, typer.Option(help="Periods the target looks ahead: neighbouring dates overlap.")] = 1,
    min_names: Annotated[int, typer.Option(help="Fewest names of a date that still give an IC.")] = 10,
    quantiles: Annotated[int, typer.Option(help="Groups of names by prediction.")] = 5,
    duplicates: Duplicates = "error",
    prediction_duplicates: ScoreDuplicates = "error",
    time_format: TimeFormat = None,
    output: Annotated[Path | None, typer.Option(help="Folder for metrics.json and daily.parquet.")] = None,
    memory: Memory = None,
    reserve: Reserve = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compute exact errors, IC and Rank IC, streamed date by date.

    Example, of a run: seawall evaluate examples/pse.yaml --json

    Of anybody: seawall evaluate --predictions scores.csv --target y --horizon 5 --memory 200MiB
    """
    if config is not None:
        if predictions or returns:
            raise ConfigError("evaluate", "takes a config, or --predictions", found="both")
        only(("evaluate",), config, memory, as_json=as_json, quiet=quiet, reserve=reserve)
        if not (as_json or quiet):
            show_run(load_config(config).output)
        return
    if not predictions:
        raise ConfigError(
            "evaluate",
            "something is missing",
            allowed="CONFIG.yaml, or --predictions",
            do="See seawall evaluate --help.",
        )
    section: dict[str, Any] = {
        "predictions": predictions,
        "entity": entity,
        "time": time,
        "prediction": prediction,
        "target": target,
        "returns": returns or [],
        "return_column": return_column,
        "returns_entity": returns_entity,
        "returns_time": returns_time,
        "group": group,
        "horizon_periods": horizon,
        "min_names": min_names,
        "num_quantiles": quantiles,
        "duplicates": duplicates,
        "prediction_duplicates": prediction_duplicates,
        "time_format": time_format,
    }
    checked = checked_model(TablesConfig, section, "evaluate")
    act_outside(partial(evaluate_tables, checked, output), Asked(memory, reserve, as_json, quiet), show_judged)
