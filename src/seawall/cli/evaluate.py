"""``seawall evaluate``: exact errors, IC and Rank IC of a run, or of anybody's scores."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall.budget.limits import Reserve as Left
from seawall.budget.limits import find_budget
from seawall.cli.display import Display, outside_json, print_json
from seawall.cli.options import (
    AsJson,
    Duplicates,
    Memory,
    OfRun,
    Reserve,
    ReturnsEntity,
    ReturnsTime,
    ScoreColumn,
    ScoreDuplicates,
    Scores,
    TimeFormat,
)
from seawall.cli.run import own_command
from seawall.cli.stages import Quiet, only
from seawall.errors import ConfigError
from seawall.evaluate.config import TablesConfig
from seawall.pipeline.config import checked_model
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
        "horizon_periods": horizon,
        "min_names": min_names,
        "num_quantiles": quantiles,
        "duplicates": duplicates,
        "prediction_duplicates": prediction_duplicates,
        "time_format": time_format,
    }
    checked = checked_model(TablesConfig, section, "evaluate")
    with Display(quiet=quiet or as_json) as display:
        record = evaluate_tables(checked, output, find_budget(memory, reserve=Left(reserve)), display, own_command())
    if as_json:
        print_json(outside_json(record))
    elif not quiet:
        _show(record["summary"])


def _show(summary: dict[str, Any]) -> None:
    console = Console(highlight=False)
    overall = summary["overall"]
    span = f"{summary['first_time']} to {summary['last_time']}"
    console.print(
        f"{escape(summary['prediction'])} against {escape(summary['target'])}:"
        f" {summary['num_predictions']:,} predictions, {span}; {summary['num_without_target']:,} without a target",
        soft_wrap=True,
    )
    console.print(_daily_table(overall, summary))
    pooled = overall["pooled"]
    console.print(
        "pooled over all rows: "
        + ", ".join(f"{name} {_number(pooled[name])}" for name in ("mse", "mae", "r2", "pearson"))
    )
    groups = ", ".join(_number(value, digits=5) for value in overall["quantiles"])
    console.print(f"mean target by prediction, lowest group first: {groups}")
    for warning in summary["warnings"]:
        console.print(f"[yellow]check[/] {escape(warning)}", soft_wrap=True)


def _daily_table(overall: dict[str, Any], summary: dict[str, Any]) -> Table:
    undefined = overall["ic"]["num_undefined"]
    table = Table(
        title=f"{overall['ic']['num_dates']:,} dates, {undefined:,} undefined (fewer than {summary['min_names']} names,"
        " or no variance)",
        title_justify="left",
    )
    table.add_column("")
    for name in ("mean", "std", "ICIR", "positive", "plain t", "t_hac", "p_hac"):
        table.add_column(name, justify="right")
    for name, label in (("ic", "IC"), ("rank_ic", "Rank IC")):
        of = overall[name]
        shown = [_number(of[key]) for key in ("mean", "std", "icir", "share_positive", "t_plain", "t_hac", "p_hac")]
        table.add_row(label, *shown)
    return table


def _number(value: float | None, *, digits: int = 4) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"
