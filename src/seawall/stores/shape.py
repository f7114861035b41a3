"""Sizes of a panel, read from its manifest or estimated before ingest: all that planning needs; light to import."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seawall.errors import FormatError

PANEL_FORMAT = "seawall-panel/1"

ROLE_BYTES = {"weights": 4, "dividends": 8, "splits": 8}
"""Bytes a row of the groups that have one column at most."""

_COUNTS = ("num_rows", "num_entities", "num_dates", "max_rows_per_entity", "max_rows_per_date")
_LISTS: dict[str, dict[str, type]] = {
    "segments": {"name": str, "num_rows": int},
    "columns": {"name": str, "group": str},
    "targets": {"name": str, "kind": str, "column": str, "horizon_periods": int, "delay_periods": int},
    "sources": {"bytes": int},
}
"""Lists of records in the manifest, and the keys each record must have."""


TYPED_SUFFIXES = (".parquet", ".feather", ".arrow", ".ipc", ".bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelShape:
    """Counts of a panel store."""

    num_rows: int
    num_entities: int
    num_dates: int
    num_features: int
    num_targets: int
    num_prices: int
    max_rows_per_entity: int
    max_rows_per_date: int
    source_bytes: int = 0
    """Bytes of the source files that are text, uncompressed where that is known."""
    rows_around: int | None = None
    """Rows beside a piece that its values read, where a long entity can be computed in pieces; None: held whole."""
    page_bytes: int = 0
    """Before ingest: what a reader holds of each column of a Parquet source, on average."""
    num_values: int = 0
    """Source columns kept beside features and prices."""
    role_bytes: int = 0
    """Bytes of one row of weights, dividends and splits, where there are such columns."""
    num_pieces: int = 0
    """Entities of all segments where there are several, else 0: what chaining their rows grows with."""

    @property
    def store_bytes(self) -> int:
        """Bytes of all arrays of the store."""
        per_row = (
            4 * self.num_features
            + 4 * self.num_targets * 2
            + 8 * self.num_targets
            + 8 * (self.num_prices + self.num_values)
            + self.role_bytes
        )
        return self.num_rows * (per_row + 8 + 1 + 4 + 8) + 16 * (self.num_entities + self.num_dates)

    @property
    def layout_bytes(self) -> int:
        """Private memory a reader needs to chain the rows of several segments; 0 where there is one.

        Names twice, a table of them, and seven numbers a piece.
        """
        return self.num_pieces * 300

    def record(self) -> dict[str, int]:
        """Give the shape as plain JSON values."""
        return asdict(self)


NO_PANEL = PanelShape(
    num_rows=0, num_entities=0, num_dates=0, num_features=0, num_targets=0, num_prices=0, max_rows_per_entity=0,
    max_rows_per_date=0,
)  # fmt: skip
"""Of a run that reads no panel: a search of its own tables."""


def read_manifest(panel: Path) -> dict[str, Any]:
    """Read the manifest of a panel store and check that it has every key a reader needs.

    Raises
    ------
    FormatError
        Where the manifest is missing, unreadable, of another format, or lacks something.
    """
    try:
        manifest = json.loads((panel / "panel.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(
            str(panel), "not a panel store", found=str(error), do="Run seawall ingest to make one."
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != PANEL_FORMAT:
        found = repr(manifest.get("format")) if isinstance(manifest, dict) else type(manifest).__name__
        raise FormatError(str(panel), "unknown format", found=found, allowed=PANEL_FORMAT)
    wrong = [key for key in _COUNTS if not _is_count(manifest.get(key))]
    wrong += [key for key, fields in _LISTS.items() if not _are_records(manifest.get(key), fields)]
    wrong += [key for key in ("files", "calendar", "ingest") if not isinstance(manifest.get(key), dict)]
    wrong += ["history"] * (not _is_history(manifest.get("history", [])))
    if wrong:
        where, found = str(panel / "panel.json"), f"{wrong[0]} = {manifest.get(wrong[0])!r}"[:200]
        raise FormatError(where, "damaged manifest", found=found, do="Run seawall ingest again.")
    return manifest


def segment_counts(panel: Path, manifest: dict[str, Any]) -> list[tuple[str, int, int, int]]:
    """List name, rows, entities and dates of each segment, oldest first.

    Raises
    ------
    FormatError
        Where there is none, a name is not a plain folder name or stands twice, or counts are missing.
    """
    segments, where = manifest["segments"], str(panel)
    names = [segment["name"] for segment in segments]
    for name in names:
        if not name or Path(name).name != name or name.startswith("."):
            raise FormatError(where, "a segment name must be a plain folder name", found=repr(name))
    if not names or len(set(names)) != len(names):
        raise FormatError(where, "a panel has one segment or more, each once", found=f"{len(names)} segments")
    if len(names) == 1:
        return [(names[0], manifest["num_rows"], manifest["num_entities"], manifest["num_dates"])]
    counts = ("num_rows", "num_entities", "num_dates")
    if not all(_is_count(segment.get(count)) for segment in segments for count in counts):
        raise FormatError(where, "damaged manifest", found="a segment without counts", do="Run seawall ingest again.")
    return [(segment["name"], *(segment[count] for count in counts)) for segment in segments]


def _is_history(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("key"), str)
        and "first_changed" in entry
        and isinstance(entry["first_changed"], int | None)
        for entry in value
    )


def _num_pieces(segments: list[dict[str, Any]]) -> int:
    if len(segments) == 1:
        return 0
    counts = [segment.get("num_entities") for segment in segments]
    return sum(count for count in counts if isinstance(count, int))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_records(value: object, fields: dict[str, type]) -> bool:
    return isinstance(value, list) and all(
        isinstance(record, dict) and all(isinstance(record.get(key), kind) for key, kind in fields.items())
        for record in value
    )


def _is_typed(source: dict[str, Any]) -> bool:
    """Tell whether a source comes in columns with types, which are decoded and not parsed."""
    return str(source.get("path", "")).lower().endswith(TYPED_SUFFIXES)


def read_shape(panel: Path) -> PanelShape:
    """Read the sizes of a panel store from its manifest alone.

    Raises
    ------
    FormatError
        As :func:`read_manifest`.
    """
    manifest = read_manifest(panel)
    groups = [column["group"] for column in manifest["columns"]]
    return PanelShape(
        num_rows=manifest["num_rows"],
        num_entities=manifest["num_entities"],
        num_dates=manifest["num_dates"],
        num_features=groups.count("features"),
        num_targets=groups.count("targets"),
        num_prices=groups.count("prices"),
        num_values=groups.count("values"),
        role_bytes=sum(ROLE_BYTES[group] for group in groups if group in ROLE_BYTES),
        num_pieces=_num_pieces(manifest["segments"]),
        max_rows_per_entity=manifest["max_rows_per_entity"],
        max_rows_per_date=manifest["max_rows_per_date"],
        source_bytes=sum(source["bytes"] for source in manifest["sources"] if not _is_typed(source)),
    )
