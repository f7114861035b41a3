"""One folder of arrays of a panel store, and how several of them make one row space."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import AnyArray, Bool, Int32, Int64
from seawall.errors import FormatError
from seawall.stores.npy import map_array

ARRAYS: dict[str, tuple[str, str]] = {
    "features": ("<f4", "features"),
    "targets": ("<f4", "targets"),
    "target_end": ("<i4", "targets"),
    "returns": ("<f8", "targets"),
    "prices": ("<f8", "prices"),
    "values": ("<f8", "values"),
    "adjustment": ("<f8", ""),
    "universe": ("|u1", ""),
    "weights": ("<f4", "weights"),
    "dividends": ("<f8", "dividends"),
    "splits": ("<f8", "splits"),
    "time_index": ("<i4", ""),
}
"""Row arrays of a segment: dtype, and the column group that gives their width (none: one value a row)."""

ROLES = ("weights", "dividends", "splits")
"""Groups of one column at most, stored as one value a row."""

GROUPS = ("features", "targets", "prices", "values", *ROLES)


def row_shape(array: str, width: Callable[[str], int]) -> tuple[int, ...]:
    """Give the shape of one row of an array, from the number of columns of its group."""
    group = ARRAYS[array][1]
    return () if not group or (group in ROLES and width(group)) else (width(group),)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One folder of arrays. Arrays are mapped when first used; names and indexes are read into memory.

    ``widths`` counts the columns of each group.
    """

    folder: Path
    num_rows: int
    num_entities: int
    num_dates: int
    widths: Mapping[str, int]

    def rows(self, array: str) -> AnyArray:
        """Map a row array; a group without columns has no file and comes as an empty array."""
        dtype, shape = ARRAYS[array][0], (self.num_rows, *row_shape(array, self.widths.__getitem__))
        if 0 in shape[1:]:
            return np.empty(shape, dtype)
        return map_array(self.folder / f"{array}.npy", dtype, shape)

    @cached_property
    def calendar(self) -> Int64:
        """int64 [T], in memory; strictly increasing."""
        return np.array(map_array(self.folder / "calendar.npy", "<i8", (self.num_dates,)))

    @cached_property
    def offsets(self) -> Int64:
        """int64 [E + 1], in memory; first row of each entity."""
        return np.array(map_array(self.folder / "offsets.npy", "<i8", (self.num_entities + 1,)))

    @cached_property
    def by_time(self) -> Int64:
        """int64 [N], mapped; rows of this segment ordered by (time, entity)."""
        return map_array(self.folder / "by_time.npy", "<i8", (self.num_rows,))

    @cached_property
    def time_offsets(self) -> Int64:
        """int64 [T + 1], in memory; first place in ``by_time`` of each date."""
        return np.array(map_array(self.folder / "time_offsets.npy", "<i8", (self.num_dates + 1,)))

    @cached_property
    def first_places(self) -> Int64:
        """int64 [E], in memory; rows of each entity that older segments hold before this segment's first one."""
        path = self.folder / "first_places.npy"
        if not path.exists():  # the oldest segment begins every entity it holds
            return np.zeros(self.num_entities, np.int64)
        return np.array(map_array(path, "<i8", (self.num_entities,)))

    @cached_property
    def names(self) -> list[str]:
        """Entity names in byte order."""
        path = self.folder / "entities.parquet"
        try:
            names: list[str] = pq.ParquetFile(path).read(["entity"])["entity"].to_pylist()
        except (OSError, KeyError, pa.ArrowException) as error:
            found = str(error).splitlines()[0]
            raise FormatError(str(path), "cannot be read", found=found, do="Run seawall ingest again.") from error
        if len(names) != self.num_entities:
            raise FormatError(str(path), "does not match the manifest", found=f"{len(names)} names")
        return names


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The row space of a panel over its segments: rows of entity after entity, each one's in order of time.

    A newer segment's rows of an entity replace all older ones from their place on, so the rows of an entity are a chain
    of *pieces*: runs of consecutive rows of one segment. Memory is 24 B a piece and the names.
    """

    names: list[str]
    offsets: Int64
    """int64 [E + 1], first row of each entity."""
    piece_row: Int64
    """int64 [P], ascending: the row at which each piece starts."""
    piece_segment: Int64
    piece_place: Int64
    """int64 [P], the place of that row in its segment."""
    starts: tuple[Int64, ...]
    """Per segment int64 [its E]: the row at which each of its entities starts."""
    lengths: tuple[Int64, ...]
    """Per segment int64 [its E]: how many rows of each of its entities are not replaced by a newer segment."""

    def locate(self, rows: Int64) -> tuple[Int64, Int64]:
        """Find the segment of each row and its place there (any shape)."""
        piece = np.searchsorted(self.piece_row, rows, side="right") - 1
        return self.piece_segment[piece], self.piece_place[piece] + (rows - self.piece_row[piece])

    def pieces(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Cut a range of rows into (segment, first place, number of rows), in order."""
        first = int(np.searchsorted(self.piece_row, start, side="right")) - 1
        last = int(np.searchsorted(self.piece_row, stop, side="left"))
        cut: list[tuple[int, int, int]] = []
        for piece in range(max(first, 0), last):
            row = int(self.piece_row[piece])
            end = int(self.piece_row[piece + 1]) if piece + 1 < len(self.piece_row) else int(self.offsets[-1])
            low, high = max(start, row), min(stop, end)
            if low < high:
                cut.append((int(self.piece_segment[piece]), int(self.piece_place[piece]) + low - row, high - low))
        return cut

    def live_rows(self, segment: int, offsets: Int64, places: Int64) -> tuple[Int64, Bool]:
        """Turn places of a segment into rows, and tell which are not replaced by a newer segment."""
        entity = np.searchsorted(offsets, places, side="right") - 1
        inside = places - offsets[entity]
        return self.starts[segment][entity] + inside, inside < self.lengths[segment][entity]


def lay_out(segments: Sequence[Segment], where: str) -> Layout:
    """Chain the rows of all segments, newest first: what a newer segment holds of an entity cuts the older ones.

    Raises
    ------
    FormatError
        Where a segment starts an entity beyond the rows that older segments hold of it.
    """
    names = sorted({name for segment in segments for name in segment.names}, key=lambda name: name.encode())
    number_of = {name: number for number, name in enumerate(names)}
    numbers = [np.array([number_of[name] for name in segment.names], np.int64) for segment in segments]
    total = np.zeros(len(names), np.int64)
    for segment, number in zip(segments, numbers, strict=True):
        first, length = segment.first_places, np.diff(segment.offsets)
        if (length < 0).any() or (first < 0).any() or (first > total[number]).any():
            raise FormatError(
                where, "a segment does not join the older ones", found=segment.folder.name, do="Run seawall verify."
            )
        total[number] = first + length
    offsets = np.concatenate([[0], np.cumsum(total)]).astype(np.int64)
    limit = np.full(len(names), np.iinfo(np.int64).max)
    kept: list[Int64] = []
    for segment, number in zip(reversed(segments), reversed(numbers), strict=True):
        first, length = segment.first_places, np.diff(segment.offsets)
        kept.insert(0, np.clip(limit[number] - first, 0, length))
        limit[number] = np.minimum(limit[number], first)
    starts = [offsets[number] + segment.first_places for segment, number in zip(segments, numbers, strict=True)]
    row = np.concatenate([start[keep > 0] for start, keep in zip(starts, kept, strict=True)])
    place = np.concatenate([s.offsets[:-1][keep > 0] for s, keep in zip(segments, kept, strict=True)])
    of = np.repeat(np.arange(len(segments)), [int((keep > 0).sum()) for keep in kept])
    order = np.argsort(row, kind="stable")
    return Layout(
        names=names,
        offsets=offsets,
        piece_row=row[order],
        piece_segment=of[order],
        piece_place=place[order],
        starts=tuple(starts),
        lengths=tuple(kept),
    )


class SegmentedRows:
    """One row array over several segments; reads like an array: ``[rows]``, ``[i:j]``, ``[rows, column]``.

    A slice inside one piece is a view and costs nothing; everything else is a copy of what is asked for.

    Parameters
    ----------
    parts
        The array of each segment, mapped.
    places
        Per segment int32 [its T], the index in the panel's calendar of each of its dates, or None where they agree.
        Given, the values are calendar indices and are translated; negative ones stay.
    """

    def __init__(self, layout: Layout, parts: Sequence[AnyArray], places: Sequence[Int32 | None] | None = None) -> None:
        self.parts = list(parts)
        self.dtype = self.parts[0].dtype
        self.shape: tuple[int, ...] = (int(layout.offsets[-1]), *self.parts[0].shape[1:])
        self.ndim = len(self.shape)
        self._layout, self._places = layout, places

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | int | Int64 | tuple[AnyArray, int]) -> AnyArray:
        if isinstance(key, tuple):
            rows, column = key
            return self._gather(np.asarray(rows), column)
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            return self._range(start, stop) if step == 1 else self._gather(np.arange(start, stop, step), None)
        rows = np.asarray(key)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        return self._gather(np.where(rows < 0, rows + len(self), rows), None)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> AnyArray:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def take(self, rows: Int64, axis: int | None = None, out: AnyArray | None = None, mode: str = "raise") -> AnyArray:
        """Gather rows, as ``numpy.take`` along the first axis does."""
        found = self._gather(np.asarray(rows), None)
        if out is None:
            return found
        out[...] = found
        return out

    def tolist(self) -> list[object]:
        """List all values."""
        listed: list[object] = self[:].tolist()
        return listed

    def _range(self, start: int, stop: int) -> AnyArray:
        runs = [
            self._translated(segment, self.parts[segment][place : place + num_rows])
            for segment, place, num_rows in self._layout.pieces(start, stop)
        ]
        if len(runs) == 1:
            return runs[0]
        return np.concatenate(runs) if runs else np.empty((0, *self.shape[1:]), self.dtype)

    def _gather(self, rows: Int64, column: int | None) -> AnyArray:
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"row {int(rows.max())} of {len(self)}")
        segment, place = self._layout.locate(rows)
        width = self.shape[1:] if column is None else ()
        found = np.empty((*rows.shape, *width), self.dtype)
        for number in np.unique(segment):
            here = segment == number
            part = self.parts[number][place[here]] if column is None else self.parts[number][place[here], column]
            found[here] = self._translated(int(number), part)
        return found

    def _translated(self, segment: int, values: AnyArray) -> AnyArray:
        places = self._places[segment] if self._places is not None else None
        if places is None:
            return values
        translated: AnyArray = np.where(values >= 0, places[np.maximum(values, 0)], values)
        return translated


class DateOrder:
    """Rows ordered by (time, entity) over several segments: ``[i:j]`` merges the dates it touches.

    Memory is twice what is asked for, widened to whole dates.
    """

    def __init__(self, layout: Layout, segments: Sequence[Segment], calendar: Int64, time_offsets: Int64) -> None:
        self._layout, self._segments = layout, list(segments)
        self._calendar, self._time_offsets = calendar, time_offsets
        self.shape = (int(time_offsets[-1]),)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice) -> Int64:
        start, stop, _ = key.indices(len(self))
        if start >= stop:
            return np.empty(0, np.int64)
        first = int(np.searchsorted(self._time_offsets, start, side="right")) - 1
        last = int(np.searchsorted(self._time_offsets, stop, side="left"))
        rows = self._dates(first, last)
        skip = start - int(self._time_offsets[first])
        return rows[skip : skip + stop - start]

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> AnyArray:
        return self[:]

    def tolist(self) -> list[int]:
        """List all rows."""
        listed: list[int] = self[:].tolist()
        return listed

    def _dates(self, first: int, last: int) -> Int64:
        """Merge the dates ``first`` .. ``last`` - 1 of the calendar."""
        found_rows: list[Int64] = []
        found_dates: list[Int64] = []
        for number, segment in enumerate(self._segments):
            dates = np.searchsorted(self._calendar, segment.calendar)
            low, high = np.searchsorted(dates, [first, last])
            bounds = segment.time_offsets[low : high + 1]
            places = np.array(segment.by_time[bounds[0] : bounds[-1]])
            rows, live = self._layout.live_rows(number, segment.offsets, places)
            found_rows.append(rows[live])
            found_dates.append(np.repeat(dates[low:high], np.diff(bounds))[live])
        rows, dates = np.concatenate(found_rows), np.concatenate(found_dates)
        ordered: Int64 = rows[np.lexsort((rows, dates))]
        return ordered


def merged_time_offsets(layout: Layout, segments: Sequence[Segment], calendar: Int64) -> Int64:
    """Count the live rows of each date: int64 [T + 1]. Reads the time index of replaced rows alone."""
    counts = np.zeros(len(calendar), np.int64)
    for number, segment in enumerate(segments):
        dates = np.searchsorted(calendar, segment.calendar)
        of_segment = np.diff(segment.time_offsets)
        time_index = segment.rows("time_index")
        length, kept = np.diff(segment.offsets), layout.lengths[number]
        for entity in np.flatnonzero(kept < length):
            replaced = time_index[segment.offsets[entity] + kept[entity] : segment.offsets[entity + 1]]
            np.subtract.at(of_segment, replaced, 1)
        counts[dates] += of_segment
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
