"""Entries of one signal type in order of time, as mapped columns, each at the bar it is filled at."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from seawall.arrays import Float64, Int64
from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError, DataError
from seawall.search.bars import Bars
from seawall.search.config import SearchConfig
from seawall.search.entry_columns import Side
from seawall.search.ohlc import shown_time
from seawall.search.sources import Texts, TimeReader, read_checked, tables_of
from seawall.stores.npy import ArrayWriter

PIECE_ROWS = 16_384
SIDES = {"1": 1, "long": 1, "buy": 1, "+1": 1, "-1": -1, "short": -1, "sell": -1}


@dataclass(slots=True)
class EntryCounts:
    """Entries that were read, and those that were left out by reason."""

    read: int = 0
    kept: int = 0
    outside: int = 0
    """Unknown entity, or before its first bar."""
    past_end: int = 0
    """The longest holding passes the end of the data: left out for every combination."""
    undefined_score: int = 0

    def record(self) -> dict[str, int]:
        """Give the counts as plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class EntryWriter:
    """Collects the entries of every type on disk, then sorts each by time in a mapped file."""

    bars: Bars
    config: SearchConfig
    folder: Path
    num_scores: int
    counts: dict[str, EntryCounts] = field(default_factory=dict)
    _files: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def dtype(self) -> np.dtype:
        """Layout of one entry on its way."""
        return np.dtype([("time", "<i8"), ("row", "<i8"), ("side", "i1"), ("scores", "<f8", (self.num_scores,))])

    def add(self, type_: str, entities: Int64, times: Int64, sides: Side, scores: Float64) -> None:
        """Place entries at the bars that fill them; ``times`` are read as ``time_is`` says.

        Raises
        ------
        DataError
            For an entity that has no bars, or a time before its first bar, unless they may be dropped.
        """
        counts = self.counts.setdefault(type_, EntryCounts())
        counts.read += len(entities)
        rows, is_before = self._rows(entities, times)
        outside = (entities < 0) | is_before
        if outside.any() and self.config.entries.outside == "error":
            place = int(np.argmax(outside))
            name = "an entity without bars" if entities[place] < 0 else repr(self.bars.entities[int(entities[place])])
            raise DataError(
                "entries",
                "an entry lies outside the bars",
                found=f"{name} at {shown_time(int(times[place]))}, and {int(outside.sum()) - 1} more in this block",
                do="Check that both tables belong together, or set entries.outside: drop, which counts them.",
            )
        counts.outside += int(outside.sum())
        holding = self.config.types[type_].grid.holds[-1]
        reaches = ~outside & (rows >= 0)
        reaches[reaches] = self.bars.reaches(rows[reaches], holding)
        counts.past_end += int((~outside & ~reaches).sum())
        undefined = reaches & ~np.isfinite(scores).all(axis=1)
        counts.undefined_score += int(undefined.sum())
        self._write(type_, rows, sides, scores, reaches & ~undefined)

    def _rows(self, entities: Int64, times: Int64) -> tuple[Int64, npt.NDArray[np.bool_]]:
        """Give the row of the bar that fills each entry, -1 past the end of data; and which are before the bars."""
        entries = self.config.entries
        how, late = ("right", entries.latency_periods) if entries.time_is == "signal" else ("left", 0)
        rows, is_before = np.full(len(times), -1, np.int64), np.zeros(len(times), bool)
        for code in np.unique(entities[entities >= 0]).tolist():
            start, stop = int(self.bars.offsets[code]), int(self.bars.offsets[code + 1])
            of = np.flatnonzero(entities == code)
            own = self.bars.time[start:stop]
            found = start + np.searchsorted(own, times[of], side=how) + late  # type: ignore[call-overload]
            rows[of] = np.where(found < stop, found, -1)
            is_before[of] = times[of] < own[0] if len(own) else True
        return rows, is_before

    def _write(
        self, type_: str, rows: Int64, sides: Side, scores: Float64, keep: npt.NDArray[np.bool_]
    ) -> None:  # fmt: skip
        records = np.zeros(int(keep.sum()), self.dtype())
        records["row"], records["side"], records["scores"] = rows[keep], sides[keep], scores[keep]
        records["time"] = self.bars.time[rows[keep]]
        self.counts[type_].kept += len(records)
        if type_ not in self._files:
            self._files[type_] = (self.folder / f"{type_}.spool").open("wb")
        self._files[type_].write(records.tobytes())

    def finish(self, beat: Beat) -> None:
        """Sort and write the columns of each type.

        Raises
        ------
        DataError
            Where a type has no entry that can be followed to the end of its longest holding.
        """
        for type_ in self.config.types:
            counts = self.counts.get(type_, EntryCounts())
            if not counts.kept:
                raise DataError(
                    f"entries of type {type_!r}",
                    "no entry can be evaluated",
                    found=", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts.record().items()),
                    do="Shorten the longest holding_periods, or bring bars that go on after the entries.",
                )
            self._files[type_].close()
            self._sort(type_, beat)

    def _sort(self, type_: str, beat: Beat) -> None:
        """Sort packed (period, place) keys in place in a mapped file: private memory does not grow with entries."""
        spool, keys_path = self.folder / f"{type_}.spool", self.folder / f"{type_}.keys"
        rows = np.memmap(spool, self.dtype(), "r")
        keys = np.memmap(keys_path, np.int64, "w+", shape=(len(rows),))
        earliest = min(int(rows["time"][s : s + PIECE_ROWS].min()) for s in range(0, len(rows), PIECE_ROWS))
        for start in range(0, len(rows), PIECE_ROWS):
            piece = rows["time"][start : start + PIECE_ROWS]
            number = (piece - earliest) // self.bars.period
            keys[start : start + len(piece)] = (number << 32) | np.arange(start, start + len(piece))
        keys.sort()
        target = self.folder / type_
        target.mkdir(exist_ok=True)
        with (
            ArrayWriter(target / "rows.npy", "<i8") as out_rows,
            ArrayWriter(target / "times.npy", "<i8") as out_times,
            ArrayWriter(target / "sides.npy", "|i1") as out_sides,
            ArrayWriter(target / "scores.npy", "<f8", (self.num_scores,)) as out_scores,
        ):
            for start in range(0, len(rows), PIECE_ROWS):
                piece = rows[keys[start : start + PIECE_ROWS] & 0xFFFFFFFF]
                for writer, name in (
                    (out_rows, "row"), (out_times, "time"), (out_sides, "side"), (out_scores, "scores")
                ):  # fmt: skip
                    writer.append(piece[name])
                beat("sort entries", start, len(rows))
        del rows, keys
        spool.unlink()
        keys_path.unlink()


def read_entries(files: Sequence[Path], config: SearchConfig, writer: EntryWriter, beat: Beat) -> None:
    """Read a table of entries in blocks into the writer.

    Raises
    ------
    ConfigError, DataError
        For a column that is missing, a side or type that is unknown, or a row that cannot be read.
    """
    entries, names = config.entries, Texts(writer.bars.entities)
    tables = tables_of(files, entries.entity, entries.time)
    reader = TimeReader(tables, entries.time_format)
    for table in tables:
        where, done = f"entries {table.part.label}", 0
        table.require([name for name in (entries.side, entries.type) if name])
        is_number = entries.side in table.number_columns()
        values = [*entries.scores, *([entries.side] if is_number and entries.side else [])]
        words = _Words(table.part.path, config, has_sides=not is_number)
        for block in read_checked(table, values):
            codes, times = names.codes(block.entity, where), reader.times(block.time, where)
            types, sides = words.take(len(codes))
            sides = _number_sides(block.values[:, -1], where) if is_number else sides
            scores = block.values[:, : len(entries.scores)]
            for number, type_ in enumerate(config.types):
                places = np.flatnonzero(types == number)
                if len(places):
                    writer.add(type_, codes[places], times[places], sides[places], scores[places])
            done += len(codes)
            beat("read entries", done)


class _Words:
    """The texts of a table of entries, type and side, read beside its numbers in blocks of another length."""

    def __init__(self, path: Path, config: SearchConfig, *, has_sides: bool) -> None:
        entries = config.entries
        self._config, self._where = config, f"entries {path}"
        self._has_types, self._has_sides = entries.type is not None, has_sides and entries.side is not None
        type_column = entries.type or entries.entity
        side_column = entries.side if self._has_sides and entries.side else entries.entity
        self._blocks = tables_of([path], type_column, side_column)[0].blocks((), None)
        self._types, self._sides = np.empty(0, np.int64), np.empty(0, np.int8)

    def take(self, number: int) -> tuple[Int64, Side]:
        """Give the type (its place in the config) and side of the next entries."""
        while len(self._types) < number:
            block = next(self._blocks)
            length = len(block.line)
            types = self._type_places(block.entity) if self._has_types else np.zeros(length, np.int64)
            sides = _text_sides(block.time, self._where) if self._has_sides else np.ones(length, np.int8)
            self._types, self._sides = np.append(self._types, types), np.append(self._sides, sides)
        taken = self._types[:number], self._sides[:number]
        self._types, self._sides = self._types[number:], self._sides[number:]
        return taken

    def _type_places(self, column: pa.Array) -> Int64:
        texts, known = Texts(), list(self._config.types)
        codes = texts.codes(column, f"{self._where}: type")
        unknown = [text for text in texts.names if text not in known]
        if unknown:
            raise ConfigError(
                f"{self._where}: type",
                "a type without a section in types",
                found=repr(unknown[0]),
                allowed=", ".join(known),
                do="Add a section for it, or leave those entries out of the table.",
            )
        return np.array([known.index(text) for text in texts.names], np.int64)[codes]


def _number_sides(values: Float64, where: str) -> Side:
    bad = ~np.isin(values, (1.0, -1.0))
    if bad.any():
        found = f"{values[np.argmax(bad)]:g}"
        raise DataError(f"{where}: side", "not a side", found=found, allowed="1 (long) or -1 (short)")
    return values.astype(np.int8)


def _text_sides(column: pa.Array, where: str) -> Side:
    texts = Texts()
    codes = texts.codes(column, f"{where}: side")
    known = [SIDES.get(text.strip().lower(), 0) for text in texts.names]
    if 0 in known:
        found = repr(texts.names[known.index(0)])
        raise DataError(f"{where}: side", "not a side", found=found, allowed="1, -1, long, short, buy, sell")
    return np.array(known, np.int8)[codes]
