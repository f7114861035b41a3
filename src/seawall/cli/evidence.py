"""``seawall inspect`` and ``seawall verify``: what a panel store holds, and whether it still is what was written."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall.cli.display import print_json
from seawall.cli.live import OwnProgress
from seawall.cli.options import AsJson, Quiet
from seawall.errors import FormatError
from seawall.stores.shape import read_manifest
from seawall.stores.verify import MEND, find_damage
from seawall.units import format_bytes

PanelFolder = Annotated[Path, typer.Argument(help="Panel store.", metavar="X.panel")]


def inspect(
    panel: PanelFolder,
    entity: Annotated[str | None, typer.Option(help="Show this entity's range and first rows.", metavar="NAME")] = None,
    head: Annotated[int, typer.Option(help="Rows shown of the entity.", min=0, max=10_000)] = 5,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show ranges, segments, columns with their missing shares, and the first rows of any entity.

    Example: seawall inspect market.panel --entity AAPL --head 10
    """
    manifest = _read_manifest(panel)
    from seawall.stores.look import entity_facts, missing_shares, segment_facts, time_text
    from seawall.stores.panel import Panel

    opened = Panel(panel)
    with OwnProgress("count missing values", quiet=quiet or as_json) as progress:
        shares = {} if entity is not None else missing_shares(opened, progress.moved)
    facts: dict[str, Any] = {
        **manifest,
        "first_time": time_text(opened, 0) if opened.shape.num_dates else None,
        "last_time": time_text(opened, -1) if opened.shape.num_dates else None,
        "segments": [
            {**kept, **shown} for kept, shown in zip(manifest["segments"], segment_facts(opened), strict=True)
        ],
        "missing_shares": shares,
    }
    if entity is not None:
        facts["entity"] = entity_facts(opened, entity, head)
    if as_json:
        print_json(facts)
        return
    console = Console(highlight=False, quiet=quiet)
    _show_panel(console, panel, facts)
    if entity is None:
        _show_columns(console, facts)
    else:
        _show_entity(console, facts["entity"])


def _show_panel(console: Console, panel: Path, facts: dict[str, Any]) -> None:
    console.print(
        f"{escape(str(panel))}: {facts['num_rows']:,} rows, {facts['num_entities']:,} entities,"
        f" {facts['num_dates']:,} dates, {facts['first_time']} to {facts['last_time']},"
        f" {format_bytes(sum(file['bytes'] for file in facts['files'].values()))}",
        soft_wrap=True,
    )
    if len(facts["segments"]) > 1:
        for segment in facts["segments"]:
            console.print(
                f"  {segment['name']}: {segment['num_rows']:,} rows of {segment['num_entities']:,} entities,"
                f" {format_bytes(segment['bytes'])}"
            )


def _show_columns(console: Console, facts: dict[str, Any]) -> None:
    table = Table()
    for name in ("column", "group", "dtype", "missing", "expression"):
        table.add_column(name, overflow="fold", justify="right" if name == "missing" else "left")
    for column in facts["columns"]:
        share = facts["missing_shares"].get(column["group"], {}).get(column["name"])
        shown = "-" if share is None else f"{share:.2%}"
        kept = (column["name"], column["group"], column["dtype"], shown, column["expression"])
        table.add_row(*(escape(str(text)) for text in kept))
    console.print(table)


def _show_entity(console: Console, entity: dict[str, Any]) -> None:
    console.print(
        f"{escape(entity['entity'])}: {entity['num_rows']:,} rows, {entity['first_time']} to {entity['last_time']},"
        f" {entity['num_gaps']:,} gaps",
        soft_wrap=True,
    )
    table = Table()
    for name in entity["head"]:
        table.add_column(escape(name), overflow="fold", justify="left" if name == "time" else "right")
    for row in zip(*entity["head"].values(), strict=True):
        table.add_row(*(_shown(value) for value in row))
    console.print(table)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else escape(str(value))


def verify(panel: PanelFolder, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Check every 64 MiB block of every file of a panel store against its checksum. Exit code 4 where one differs.

    Example: seawall verify market.panel
    """
    manifest = _read_manifest(panel)
    with OwnProgress("verify", quiet=quiet or as_json) as progress:
        damage = find_damage(panel, manifest["files"], progress.moved)
    num_files = len(manifest["files"])
    num_blocks = sum(len(record["blocks"]) for record in manifest["files"].values())
    if as_json:
        listed = [item.record() for item in damage]
        print_json({"panel": str(panel), "num_files": num_files, "num_blocks": num_blocks, "damaged": listed})
    if damage:
        more = f", and {len(damage) - 1} more: {'; '.join(map(str, damage[1:6]))}" if len(damage) > 1 else ""
        raise FormatError(str(panel / damage[0].file), damage[0].what, found=more.removeprefix(", "), do=MEND)
    if not as_json:
        Console(highlight=False, quiet=quiet).print(
            f"{escape(str(panel))}: {num_files} files, {num_blocks} blocks, all as written"
        )


def _read_manifest(panel: Path) -> dict[str, Any]:
    """Read the manifest and check what is shown here beside what every reader needs."""
    manifest = read_manifest(panel)
    columns = all({"dtype", "expression"} <= column.keys() for column in manifest["columns"])
    files = all(_is_file_record(record) for record in manifest["files"].values())
    if not columns or not files:
        found = "files without checksums" if columns else "columns without dtype or expression"
        raise FormatError(str(panel / "panel.json"), "damaged manifest", found=found, do="Run seawall ingest again.")
    return manifest


def _is_file_record(record: object) -> bool:
    return isinstance(record, dict) and isinstance(record.get("bytes"), int) and isinstance(record.get("blocks"), list)
