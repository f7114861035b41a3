"""``seawall ingest``: tables in, panel store out."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from seawall.budget.limits import Reserve as Left
from seawall.budget.limits import find_budget
from seawall.cli.display import Display, print_json
from seawall.cli.options import AsJson, Memory, Quiet, Reserve
from seawall.cli.run import own_command
from seawall.errors import ConfigError
from seawall.ingest.words import report_lines
from seawall.pipeline.api import run_ingest
from seawall.pipeline.run import Order
from seawall.report.ingest_page import write_ingest_page
from seawall.stores.shape import read_manifest
from seawall.tables.layout import IMPORTERS

HOW = "How the files are written"


def ingest(  # noqa: PLR0913 - one option each
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders or globs: CSV (plain, .gz, .zst, in a .zip), Parquet, Feather/Arrow, JSON lists,"
            " a Qlib provider folder.",
            metavar="SOURCE...",
        ),
    ],
    output: Annotated[Path, typer.Option(help="The panel store to write.", metavar="X.panel")],
    entity: Annotated[
        str | None, typer.Option(help="Column that names the instrument, river or subject. Importers: symbol.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time. Importers: date.")] = None,
    time_format: Annotated[
        str | None,
        typer.Option(help="iso, step, epoch_s (_ms, _us, _ns), excel or a strptime format; inferred when missing."),
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="Zone of times without an offset; UTC when missing.")] = None,
    features: Annotated[
        str | None, typer.Option(help="Feature columns, by comma; all number columns when missing.")
    ] = None,
    feature_sets: Annotated[
        str | None, typer.Option(help="bars_basic, alpha158, by comma: computed from open, high, low, close, volume.")
    ] = None,
    prices: Annotated[str | None, typer.Option(help="Columns kept as float64 prices, by comma.")] = None,
    duplicates: Annotated[str, typer.Option(help="error, first or last.")] = "error",
    max_bad_rows: Annotated[
        int, typer.Option(help="Rows that cannot be parsed and may be left out; they are counted.")
    ] = 0,
    static: Annotated[
        str | None, typer.Option(help="Second table with one row for each entity: static attributes.", metavar="FILE")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="auto, qlib, freqtrade or lean.", rich_help_panel=HOW)
    ] = "auto",
    delimiter: Annotated[
        str | None, typer.Option(help="Of CSV; taken from the header when missing.", rich_help_panel=HOW)
    ] = None,
    decimal: Annotated[str, typer.Option(help="Decimal mark of CSV.", rich_help_panel=HOW)] = ".",
    thousands: Annotated[str, typer.Option(help="Thousands mark of CSV.", rich_help_panel=HOW)] = "",
    columns: Annotated[
        str | None, typer.Option(help="Names of the columns of CSV without a header, by comma.", rich_help_panel=HOW)
    ] = None,
    wide: Annotated[
        str | None,
        typer.Option(
            help="Entities are columns: name of what the cells hold, or * for the file's name.", rich_help_panel=HOW
        ),
    ] = None,
    entity_from_file: Annotated[
        str | None,
        typer.Option(help="One file per entity: pattern of its name, such as '{entity}-1d'.", rich_help_panel=HOW),
    ] = None,
    missing_columns: Annotated[
        str, typer.Option(help="error or null, where some files lack a column.", rich_help_panel=HOW)
    ] = "error",
    divide: Annotated[
        list[str] | None,
        typer.Option(help="COLUMN=NUMBER, for scaled integers; may be repeated.", rich_help_panel=HOW),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the ingest report as an HTML page too.", metavar="FILE.html")
    ] = None,
    memory: Memory = None,
    reserve: Reserve = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Read tables of any order and size into a memory-mapped panel store; an existing store is replaced at the end.

    Example: seawall ingest bars/*.parquet --output market.panel --entity symbol --time date --prices open,close
    """
    layout: dict[str, Any] = {
        "format": format_,
        "delimiter": {"tab": "\t"}.get(delimiter or "", delimiter),
        "decimal": decimal,
        "thousands": thousands,
        "columns": _listed(columns),
        "wide": wide,
        "entity_from_file": entity_from_file,
        "missing_columns": missing_columns,
        "divide": _divisors(divide or []),
    }
    section: dict[str, Any] = {
        "sources": sources,
        "entity": _key(entity, "--entity", "symbol", format_),
        "time": _key(time, "--time", "date", format_),
        "time_format": time_format,
        "timezone": timezone,
        "layout": layout,
        "prices": _listed(prices),
        "feature_sets": _listed(feature_sets),
        "duplicates": duplicates,
        "static": {"source": static} if static else None,
        "max_bad_rows": max_bad_rows,
    }
    order = Order(only="ingest", command=own_command())
    with Display(quiet=quiet or as_json) as display:
        record = run_ingest(
            section,
            output,
            _listed(features) if features else None,
            find_budget(memory, reserve=Left(reserve)),
            display,
            order,
        )
    if report is not None:
        write_ingest_page(report, output.name, read_manifest(output))
    if as_json:
        print_json(record)
    elif not quiet:
        _print_summary(record, output)


def _key(name: str | None, option: str, usual: str, format_: str) -> str:
    """Take a key column's name; files of other programs have usual ones."""
    if name is not None:
        return name
    if format_ in IMPORTERS:
        return usual
    raise ConfigError(option, "this option is required", do=f"Name the column, for example {option} {usual}.")


def _divisors(texts: list[str]) -> dict[str, float]:
    divisors: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            divisors[name] = float(number)
        except ValueError as error:
            do = "Write for example --divide close=10000."
            raise ConfigError("--divide", "not COLUMN=NUMBER", found=repr(text), do=do) from error
    return divisors


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
    for line in report_lines(report):
        console.print(f"  {escape(line)}", soft_wrap=True)
