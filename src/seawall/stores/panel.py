"""Read a panel store: every header and length is checked against the manifest before a byte is mapped."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from seawall.arrays import AnyArray, Bool, Float32, Float64, Int32, Int64
from seawall.errors import ConfigError, FormatError, nearest
from seawall.stores.atomic import block_checksums, text_key
from seawall.stores.attributes import read_entity_tables
from seawall.stores.npy import advise_random
from seawall.stores.row_view import RowView
from seawall.stores.segments import (
    GROUPS,
    DateOrder,
    Layout,
    Segment,
    SegmentedRows,
    lay_out,
    merged_time_offsets,
)
from seawall.stores.shape import PanelShape, read_manifest, read_shape, segment_counts


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

    Rows are counted entity after entity, each entity's in order of time, whatever segments hold them. With one segment
    every row array is a plain mapped array. With several it reads the same way (``[rows]``, ``[i:j]``,
    ``[rows, column]``), and a range of rows inside one segment is still a view.

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
        widths = {group: len(self.names(group)) for group in GROUPS}
        self.segments: tuple[Segment, ...] = tuple(
            Segment(folder=self.path / name, num_rows=rows, num_entities=entities, num_dates=dates, widths=widths)
            for name, rows, entities, dates in segment_counts(self.path, self.manifest)
        )

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
        """List the column names of a group (see :data:`seawall.stores.segments.GROUPS`) in file order."""
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

    @cached_property
    def layout(self) -> Layout | None:
        """How the rows of several segments follow one another; None where there is one segment."""
        if len(self.segments) == 1:
            return None
        layout = lay_out(self.segments, str(self.path))
        if int(layout.offsets[-1]) != self.shape.num_rows or len(layout.names) != self.shape.num_entities:
            found = f"{int(layout.offsets[-1]):,} rows of {len(layout.names):,} entities"
            raise FormatError(str(self.path), "the segments do not match the manifest", found=found)
        return layout

    @cached_property
    def _places(self) -> list[Int32 | None]:
        """Calendar index of each date of each segment; None where it is the same number."""
        found: list[Int32 | None] = []
        for segment in self.segments:
            places = np.searchsorted(self.calendar, segment.calendar).astype(np.int32)
            found.append(None if np.array_equal(places, np.arange(len(places))) else places)
        return found

    def _rows(self, array: str, view: str = "") -> AnyArray:
        parts = [segment.rows(array) for segment in self.segments]
        if view:
            parts = [part.view(view) for part in parts]
        if self.layout is None:
            return parts[0]
        places = self._places if array in ("time_index", "target_end") else None
        # It answers every read that the stages make of an array; a type of its own would double each signature.
        return cast("AnyArray", SegmentedRows(self.layout, parts, places))

    def parts(self, array: str) -> list[AnyArray]:
        """Map a row array of each segment, oldest first; :attr:`layout` tells how their rows follow one another."""
        if self.layout is None:
            return [getattr(self, array)]
        return [segment.rows(array) for segment in self.segments]

    def read(self, array: str, start: int, stop: int) -> AnyArray:
        """Give rows ``start`` .. ``stop`` - 1 of a row array: a view where one segment holds them, else a copy."""
        found: AnyArray = getattr(self, array)[start:stop]
        return found

    def rows(self, start: int, stop: int) -> RowView:
        """Look at rows ``start`` .. ``stop`` - 1, cut off at the ends of the panel as a slice is. Nothing is read."""
        first, last, _ = slice(start, stop).indices(self.shape.num_rows)
        return RowView(self, first, max(first, last))

    def entity(self, name: str) -> RowView:
        """Look at all rows of an entity. Nothing is read but, once, the names.

        Raises
        ------
        ConfigError
            For an unknown name, naming the nearest known ones.
        """
        number = self._numbers.get(name)
        if number is None:
            raise ConfigError(f"{self.path}", "unknown entity", found=repr(name), do=nearest(name, self.entities))
        return RowView(self, int(self.offsets[number]), int(self.offsets[number + 1]))

    def advise_random(self, *arrays: str) -> None:
        """Say that row arrays are read in scattered places, see :func:`seawall.stores.npy.advise_random`."""
        for array in arrays:
            advise_random(getattr(self, array))

    def content_key_before(self, date: int) -> str:
        """Give the key of all that was known before a calendar index: what came later does not change it.

        Rows are known at their time, targets at their end. An append whose first change lies at or after the date
        leaves this key as it was, so what was computed from earlier dates alone stays valid.
        """
        end = int(self.calendar[date]) if date < len(self.calendar) else None
        keys = [
            str(entry["key"])
            for entry in self.manifest.get("history", [])
            if entry["first_changed"] is None or end is None or int(entry["first_changed"]) < end
        ]
        return text_key(*(keys or [self.content_key]))

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
        return self._rows("universe", "bool")

    @cached_property
    def time_index(self) -> Int32:
        """int32 [N], mapped; index into the calendar."""
        return self._rows("time_index")

    @cached_property
    def values(self) -> Float64:
        """float64 [N, V], mapped; source numbers kept because expressions over earlier rows need them."""
        return self._rows("values")

    @cached_property
    def weights(self) -> Float32 | None:
        """float32 [N], mapped; how much each sample counts in the training loss, None where nothing says."""
        return self._rows("weights") if self.names("weights") else None

    @cached_property
    def dividends(self) -> Float64 | None:
        """float64 [N], mapped; cash paid at this row on each share held over the row before, 0 where none is.

        Per share as it is after a split of the same row. None where the panel knows of no dividends.
        """
        return self._rows("dividends") if self.names("dividends") else None

    @cached_property
    def splits(self) -> Float64 | None:
        """float64 [N], mapped; what one share held over the row before becomes at this row, 1 where it stays one.

        None where the panel knows of no splits; held shares then follow the adjustment.
        """
        return self._rows("splits") if self.names("splits") else None

    @cached_property
    def calendar(self) -> Int64:
        """int64 [T], in memory; ns since 1970 UTC, or integer steps."""
        if len(self.segments) == 1:
            return self.segments[0].calendar
        calendar = np.unique(np.concatenate([segment.calendar for segment in self.segments]))
        if len(calendar) != self.shape.num_dates:
            raise FormatError(str(self.path), "the segments do not match the manifest", found=f"{len(calendar)} dates")
        return calendar

    @cached_property
    def offsets(self) -> Int64:
        """int64 [E + 1], in memory; first row of each entity."""
        return self.segments[0].offsets if self.layout is None else self.layout.offsets

    @cached_property
    def by_time(self) -> Int64:
        """int64 [N]; row ids ordered by (time, entity). Mapped; with several segments slices are merged when read."""
        if self.layout is None:
            return self.segments[0].by_time
        return cast("Int64", DateOrder(self.layout, self.segments, self.calendar, self.time_offsets))

    @cached_property
    def time_offsets(self) -> Int64:
        """int64 [T + 1], in memory; first place in ``by_time`` of each date."""
        if self.layout is None:
            return self.segments[0].time_offsets
        return merged_time_offsets(self.layout, self.segments, self.calendar)

    @cached_property
    def entities(self) -> list[str]:
        """Entity names in the order of ``offsets``."""
        return self.segments[0].names if self.layout is None else self.layout.names

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.entities)}

    @property
    def attributes(self) -> pa.Table:
        """Static attributes, read anew: one row for each entity in the order of ``offsets``, ``entity`` and others."""
        return read_entity_tables([segment.folder for segment in self.segments], self.entities)

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
