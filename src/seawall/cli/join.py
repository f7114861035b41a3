"""``seawall join``: predictions of a run, or of anybody, with forward returns."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

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
from seawall.join.config import TablesConfig
from seawall.pipeline.config import checked_model
from seawall.pipeline.outside import join_tables


def join(  # noqa: PLR0913 - one option each
    config: OfRun = None,
    predictions: Scores = None,
    returns: Annotated[
        list[str] | None, typer.Option(help="Files, folders or globs with returns, in any order.", metavar="PATH")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Parquet file to write.", metavar="FILE")] = None,
    entity: Annotated[str | None, typer.Option(help="Column that names the entity, in both.")] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time, in both.")] = None,
    prediction: ScoreColumn = None,
    return_column: Annotated[
        str | None,
        typer.Option(help="Column with the return; y_ret_10d, forward_return, target ... when missing."),
    ] = None,
    columns: Annotated[str | None, typer.Option(help="More columns of the returns to carry, by comma.")] = None,
    returns_entity: ReturnsEntity = None,
    returns_time: ReturnsTime = None,
    duplicates: Duplicates = "error",
    prediction_duplicates: ScoreDuplicates = "error",
    time_format: TimeFormat = None,
    memory: Memory = None,
    reserve: Reserve = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Join predictions with forward returns, date by date on disk: rows out are rows in.

    Example, of a run: seawall join examples/pse.yaml

    Of anybody: seawall join --predictions scores/ --returns raw/*.parquet --output table.parquet
    --entity order_book_id --time trade_date --duplicates last --memory 200MiB
    """
    if config is not None:
        if predictions or returns:
            raise ConfigError("join", "takes a config, or --predictions and --returns", found="both")
        only(("join",), config, memory, as_json=as_json, quiet=quiet, reserve=reserve)
        return
    if not (predictions and returns and output and entity and time):
        raise ConfigError(
            "join",
            "something is missing",
            allowed="CONFIG.yaml, or --predictions, --returns, --output, --entity and --time",
            do="See seawall join --help.",
        )
    section: dict[str, Any] = {
        "predictions": predictions,
        "returns": returns,
        "entity": entity,
        "time": time,
        "prediction": prediction,
        "return_column": return_column,
        "columns": [name.strip() for name in columns.split(",") if name.strip()] if columns else [],
        "returns_entity": returns_entity,
        "returns_time": returns_time,
        "duplicates": duplicates,
        "prediction_duplicates": prediction_duplicates,
        "time_format": time_format,
    }
    checked = checked_model(TablesConfig, section, "join")
    act_outside(partial(join_tables, checked, output), Asked(memory, reserve, as_json, quiet), _show)


def _show(summary: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(
        f"{escape(summary['output'])}: {summary['num_rows']:,} rows from {summary['first_time']} to"
        f" {summary['last_time']}, {summary['share']:.2%} with a return"
        f" ({escape(summary['return_column'])})",
        soft_wrap=True,
    )
    if summary["num_keys_not_found"]:
        console.print(f"  not in the returns at all: {summary['num_keys_not_found']:,} rows")
    for name, text in (("repeated_returns", "returns"), ("repeated_predictions", "predictions")):
        if summary[name]:
            console.print(f"  repeated keys of the {text} left out: {summary[name]:,}")
    for kind in ("fold", "month"):
        if summary[f"{kind}s"]:
            console.print(_coverage(kind, summary[f"{kind}s"]))
    for warning in summary["warnings"]:
        console.print(f"[yellow]warning[/] {escape(warning)}", soft_wrap=True)


NUM_SHOWN = 12


def _coverage(kind: str, counts: list[dict[str, Any]]) -> Table:
    """Show each fold, and of the months those least covered."""
    shown = counts if kind == "fold" else sorted(sorted(counts, key=lambda c: c["share"])[:NUM_SHOWN], key=_month)
    least = "" if len(shown) == len(counts) else f", the {NUM_SHOWN} least covered of {len(counts)}"
    table = Table(title=f"coverage by {kind}{least}", title_justify="left")
    table.add_column(kind)
    for name in ("rows", "with a return", "share"):
        table.add_column(name, justify="right")
    for count in shown:
        table.add_row(str(count[kind]), f"{count['num_rows']:,}", f"{count['num_matched']:,}", f"{count['share']:.1%}")
    return table


def _month(count: dict[str, Any]) -> str:
    return str(count["month"])
