"""``seawall inspect`` and ``seawall verify``: what a panel store holds, and whether it still is what was written."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall.cli.display import print_json
from seawall.cli.options import AsJson
from seawall.errors import FormatError
from seawall.stores.atomic import block_checksums
from seawall.stores.shape import read_manifest, read_shape
from seawall.units import format_bytes

PanelFolder = Annotated[Path, typer.Argument(help="Panel store.", metavar="X.panel")]


def inspect(panel: PanelFolder, as_json: AsJson = False) -> None:
    """Show sizes, columns and the ingest report of a panel store.

    Example: seawall inspect market.panel
    """
    shape, manifest = read_shape(panel), _read_manifest(panel)
    if as_json:
        print_json(manifest)
        return
    console = Console(highlight=False)
    console.print(
        f"{escape(str(panel))}: {shape.num_rows:,} rows, {shape.num_entities:,} entities, {shape.num_dates:,} dates,"
        f" {format_bytes(sum(file['bytes'] for file in manifest['files'].values()))}",
        soft_wrap=True,
    )
    table = Table()
    for name in ("column", "group", "dtype", "expression"):
        table.add_column(name, overflow="fold")
    for column in manifest["columns"]:
        table.add_row(*(escape(str(column[name])) for name in ("name", "group", "dtype", "expression")))
    console.print(table)


def verify(panel: PanelFolder, as_json: AsJson = False) -> None:
    """Check every 64 MiB block of every file of a panel store against its checksum. Exit code 4 where one differs.

    Example: seawall verify market.panel
    """
    manifest = _read_manifest(panel)
    num_blocks = 0
    for name, record in sorted(manifest["files"].items()):
        num_blocks += _verify_file(panel / name, record["blocks"])
    if as_json:
        print_json({"panel": str(panel), "num_files": len(manifest["files"]), "num_blocks": num_blocks, "damaged": 0})
        return
    Console(highlight=False).print(
        f"{escape(str(panel))}: {len(manifest['files'])} files, {num_blocks} blocks, all as written"
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


def _verify_file(path: Path, expected: list[str]) -> int:
    if not path.is_file():
        raise FormatError(str(path), "missing", do="Run seawall ingest again.")
    _, found = block_checksums(path)
    for number, (one, other) in enumerate(zip(found, expected, strict=False)):
        if one != other:
            raise FormatError(
                str(path), f"block {number} is damaged", found=one, allowed=other, do="Run seawall ingest again."
            )
    if len(found) != len(expected):
        raise FormatError(str(path), "wrong length", found=f"{len(found)} blocks", allowed=f"{len(expected)} blocks")
    return len(found)
