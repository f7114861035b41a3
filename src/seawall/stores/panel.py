"""Read a panel store: every header and length is checked against the manifest before a byte is mapped."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import AnyArray, Bool, Float32, Float64, Int32, Int64
from seawall.errors import ConfigError, FormatError, nearest
from seawall.stores.atomic import block_checksums
from seawall.stores.npy import map_array
from seawall.stores.shape import PanelShape, read_manifest, read_shape

ARRAYS: dict[str, tuple[str, str]] = {
    "features": ("<f4", "features"),
    "targets": ("<f4", "targets"),
    "target_end": ("<i4", "targets"),
    "returns": ("<f8", "targets"),
    "prices": ("<f8", "prices"),
    "adjustment": ("<f8", ""),
    "universe": ("|u1", ""),
    "time_index": ("<i4", ""),
}
"""Row arrays of a segment: dtype, and the column group that gives their width (none: one value a row)."""


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """What a target is: the forward return of a price column, its delay and horizon in rows of the entity."""

    name: str
    kind: str
    column: str
    horizon_periods: int
    delay_periods: int


class Panel:
    """A panel store, mapped read-only.

    Opening reads the manifest and checks headers and lengths; arrays are mapped when first used. Private memory is
    the index arrays asked for; mapped pages belong to the kernel.

    Parameters
    ----------
    path
        The ``NAME.panel`` folder.

    Raises
    ------
    FormatError
        Where anything on disk does not match FORMAT.md.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.shape: PanelShape = read_shape(self.path)
        self.manifest: dict[str, Any] = read_manifest(self.path)
        segments = self.manifest["segments"]
        if len(segments) != 1:
            raise FormatError(str(self.path), "this version reads one segment", found=f"{len(segments)} segments")
        name = segments[0]["name"]
        if not name or Path(name).name != name or name.startswith("."):
            raise FormatError(str(self.path), "a segment name must be a plain folder name", found=repr(name))
        self._folder = self.path / name

    def __repr__(self) -> str:
        s = self.shape
        counts = f"rows={s.num_rows:,}, entities={s.num_entities:,}, dates={s.num_dates:,}, features={s.num_features}"
        return f"Panel({str(self.path)!r}, {counts})"

    @property
    def content_key(self) -> str:
        """Key of the content: equal for equal data, whatever the file times."""
        return str(self.manifest["content_key"])

    @property
    def calendar_kind(self) -> str:
        """``timestamp`` (ns since 1970, UTC) or ``step`` (plain integers)."""
        return str(self.manifest["calendar"]["kind"])

    @property
    def target_specs(self) -> tuple[TargetSpec, ...]:
        """Declared targets in file order."""
        return tuple(TargetSpec(**target) for target in self.manifest["targets"])

    def names(self, group: str) -> list[str]:
        """List the column names of a group (``features``, ``targets``, ``prices``) in file order."""
        return [column["name"] for column in self.manifest["columns"] if column["group"] == group]

    def column_index(self, group: str, name: str) -> int:
        """Find a column's place in its group.

        Raises
        ------
        ConfigError
            For an unknown name, naming the nearest known ones.
        """
        names = self.names(group)
        if name not in names:
            raise ConfigError(f"{self.path}: {group}", "unknown column", found=repr(name), do=nearest(name, names))
        return names.index(name)

    def _rows(self, array: str) -> AnyArray:
        dtype, group = ARRAYS[array]
        shape = (self.shape.num_rows, len(self.names(group))) if group else (self.shape.num_rows,)
        if 0 in shape[1:]:
            return np.empty(shape, dtype)  # a group without columns has no file
        return map_array(self._folder / f"{array}.npy", dtype, shape)

    @cached_property
    def features(self) -> Float32:
        """float32 [N, F], mapped."""
        return self._rows("features")

    @cached_property
    def targets(self) -> Float32:
        """float32 [N, K], mapped; NaN where the target is not defined."""
        return self._rows("targets")

    @cached_property
    def target_end(self) -> Int32:
        """int32 [N, K], mapped; calendar index at which the target is known, -1 where it never is."""
        return self._rows("target_end")

    @cached_property
    def returns(self) -> Float64:
        """float64 [N, K], mapped; the targets before the training cast."""
        return self._rows("returns")

    @cached_property
    def prices(self) -> Float64:
        """float64 [N, P], mapped, unadjusted."""
        return self._rows("prices")

    @cached_property
    def adjustment(self) -> Float64:
        """float64 [N], mapped; adjusted price = price / adjustment."""
        return self._rows("adjustment")

    @cached_property
    def universe(self) -> Bool:
        """Bool [N], mapped; True where the row may be trained on, predicted and traded."""
        return self._rows("universe").view(np.bool_)

    @cached_property
    def time_index(self) -> Int32:
        """int32 [N], mapped; index into the calendar."""
        return self._rows("time_index")

    @cached_property
    def calendar(self) -> Int64:
        """int64 [T], in memory; ns since 1970 UTC, or integer steps."""
        return np.array(map_array(self._folder / "calendar.npy", "<i8", (self.shape.num_dates,)))

    @cached_property
    def offsets(self) -> Int64:
        """int64 [E + 1], in memory; first row of each entity."""
        return np.array(map_array(self._folder / "offsets.npy", "<i8", (self.shape.num_entities + 1,)))

    @cached_property
    def by_time(self) -> Int64:
        """int64 [N], mapped; row ids ordered by (time, entity)."""
        return map_array(self._folder / "by_time.npy", "<i8", (self.shape.num_rows,))

    @cached_property
    def time_offsets(self) -> Int64:
        """int64 [T + 1], in memory; first place in ``by_time`` of each date."""
        return np.array(map_array(self._folder / "time_offsets.npy", "<i8", (self.shape.num_dates + 1,)))

    @cached_property
    def entities(self) -> list[str]:
        """Entity names in the order of ``offsets``."""
        path = self._folder / "entities.parquet"
        try:
            names: list[str] = pq.ParquetFile(path).read(["entity"])["entity"].to_pylist()
        except (OSError, KeyError, pa.ArrowException) as error:
            found = str(error).splitlines()[0]
            raise FormatError(str(path), "cannot be read", found=found, do="Run seawall ingest again.") from error
        if len(names) != self.shape.num_entities:
            raise FormatError(str(path), "does not match the manifest", found=f"{len(names)} names")
        return names

    def entity_of(self, rows: Int64) -> Int64:
        """Find the entity number of each row id (any shape)."""
        return np.searchsorted(self.offsets, rows, side="right") - 1

    def times_as_datetime(self) -> AnyArray:
        """Give the calendar as ``datetime64[ns]``, or as integers where the calendar is steps."""
        return self.calendar.view("datetime64[ns]") if self.calendar_kind == "timestamp" else self.calendar

    def verify(self) -> None:
        """Check every block of every file against its checksum; reads the whole store once, 1 MiB at a time.

        Raises
        ------
        FormatError
            Naming the first file and block that differ.
        """
        for name, record in sorted(self.manifest["files"].items()):
            path = self.path / name
            if not path.is_file():
                raise FormatError(str(path), "missing", do="Run seawall ingest again.")
            _, blocks = block_checksums(path)
            for number, (found, expected) in enumerate(zip(blocks, record["blocks"], strict=False)):
                if found != expected:
                    raise FormatError(
                        str(path),
                        f"block {number} is damaged",
                        found=found,
                        allowed=expected,
                        do="Run seawall ingest again.",
                    )
            if len(blocks) != len(record["blocks"]):
                raise FormatError(
                    str(path), "wrong number of blocks", found=str(len(blocks)), allowed=str(len(record["blocks"]))
                )
