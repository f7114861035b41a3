"""``seawall ingest``: tables in, panel store out."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from seawall.budget.limits import find_budget
from seawall.cli.display import Display, print_json
from seawall.cli.options import AsJson, Memory
from seawall.cli.run import own_command
from seawall.pipeline.api import run_ingest
from seawall.pipeline.run import Order


def ingest(  # noqa: PLR0913 - one option each
    sources: Annotated[
        list[str], typer.Argument(help="Files, folders or globs of CSV, CSV.gz or Parquet.", metavar="SOURCE...")
    ],
    output: Annotated[Path, typer.Option(help="The panel store to write.", metavar="X.panel")],
    entity: Annotated[str, typer.Option(help="Column that names the instrument, river or subject.")],
    time: Annotated[str, typer.Option(help="Column with the time.")],
    time_format: Annotated[
        str | None, typer.Option(help="strptime format, iso or step; inferred when missing.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="Feature columns, by comma; all number columns when missing.")
    ] = None,
    prices: Annotated[str | None, typer.Option(help="Columns kept as float64 prices, by comma.")] = None,
    duplicates: Annotated[str, typer.Option(help="error, first or last.")] = "error",
    max_bad_rows: Annotated[
        int, typer.Option(help="Rows that cannot be parsed and may be left out; they are counted.")
    ] = 0,
    memory: Memory = None,
    as_json: AsJson = False,
) -> None:
    """Read tables of any order and size into a memory-mapped panel store; an existing store is replaced at the end.

    Example: seawall ingest bars/*.parquet --output market.panel --entity symbol --time date --prices open,close
    """
    section: dict[str, Any] = {
        "sources": sources,
        "entity": entity,
        "time": time,
        "time_format": time_format,
        "prices": _listed(prices),
        "duplicates": duplicates,
        "max_bad_rows": max_bad_rows,
    }
    order = Order(only="ingest", command=own_command())
    with Display(quiet=as_json) as display:
        record = run_ingest(
            section, output, _listed(features) if features else None, find_budget(memory), display, order
        )
    if as_json:
        print_json(record)
        return
    _print_summary(record, output)


def _listed(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()] if text else []


def _print_summary(record: dict[str, Any], output: Path) -> None:
    shape, report = record["summary"]["shape"], record["summary"]["ingest"]
    console = Console(highlight=False)
    console.print(
        f"{escape(str(output))}: {shape['num_rows']:,} rows, {shape['num_entities']:,} entities,"
        f" {shape['num_dates']:,} dates, {report['first_time']} to {report['last_time']}",
        soft_wrap=True,
    )
    for name in ("bad_rows", "dropped_rows"):
        for reason, count in report[name].items():
            console.print(f"  {name.replace('_', ' ')}: {count:,} ({escape(reason)})")
    if report["duplicates"]:
        console.print(f"  duplicates left out: {report['duplicates']:,}")
