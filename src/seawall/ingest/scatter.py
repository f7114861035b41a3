"""Pass one: rows as they come, appended to bucket files by entity range. Memory is one block, whatever the source."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import pyarrow as pa

from seawall.arrays import AnyArray, Bool, Int64
from seawall.errors import DataError
from seawall.ingest.rules import RowRules
from seawall.tables.read import BAD_TEXT_LENGTH, BadRow, RawBlock
from seawall.tables.times import TimeFormat, from_typed, parse_texts

NUM_BAD_LISTED = 10
"""Bad rows listed with file and line; all are counted."""


def record_dtype(num_values: int) -> np.dtype:
    """Layout of one row in a bucket file: entity code, time, number in the source, values."""
    return np.dtype([("code", "<i4"), ("time", "<i8"), ("source", "<i8"), ("values", "<f8", (num_values,))])


@dataclass(slots=True)
class Tally:
    """What pass one counted; a copy is what a roll-back returns to."""

    rows_read: int = 0
    rows_kept: int = 0
    bad_rows: Counter[str] = field(default_factory=Counter)
    dropped_rows: Counter[str] = field(default_factory=Counter)
    calendar: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    rows_per_code: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    first_bad: list[BadRow] = field(default_factory=list)

    def copy(self) -> "Tally":
        """Copy deeply enough to roll back to."""
        return Tally(
            self.rows_read,
            self.rows_kept,
            Counter(self.bad_rows),
            Counter(self.dropped_rows),
            self.calendar.copy(),
            self.rows_per_code.copy(),
            list(self.first_bad),
        )


def split_points(entities: Counter[str], num_buckets: int) -> list[bytes]:
    """Cut the sampled names into ranges of about equal row counts; the names that begin ranges 1, 2, ... ."""
    total, seen = sum(entities.values()), 0
    splits: list[bytes] = []
    for name in sorted(entities, key=lambda text: text.encode()):
        if splits or seen:
            wanted = total * (len(splits) + 1) / num_buckets
            if seen >= wanted and len(splits) < num_buckets - 1:
                splits.append(name.encode())
        seen += entities[name]
    return splits


class Scatter:
    """Append rows to one file per entity range.

    Memory: the block being scattered, 8 bytes a distinct time, and the names of the entities.
    """

    def __init__(self, folder: Path, splits: Sequence[bytes], num_values: int, max_bad_rows: int) -> None:
        self.paths = [folder / f"bucket-{number:05d}.rows" for number in range(len(splits) + 1)]
        self.codes: dict[str, int] = {}
        self.tally = Tally()
        self.calendar_kind = ""
        self.guesses: list[str] = []
        self._splits = list(splits)
        self._dtype = record_dtype(num_values)
        self._max_bad_rows = max_bad_rows
        self._bucket_of_code: list[int] = []
        self._files: list[IO[bytes]] = [path.open("wb") for path in self.paths]
        self._new_times: list[Int64] = []

    def add(self, block: RawBlock, time_format: TimeFormat | None, where: str, rules: RowRules) -> None:
        """Scatter one block; rows with a missing key or an unreadable time are bad rows."""
        self.tally.rows_read += len(block.line)
        codes, has_entity = self._entity_codes(block.entity)
        times, has_time = self._times(block.time, time_format, where)
        self._note_bad(~has_entity, "missing entity", block, where)
        self._note_bad(has_entity & ~has_time, "time is missing or does not fit the format", block, where)
        keep = has_entity & has_time
        for rule, hit in rules.hits(block, times, self.calendar_kind).items():
            self.tally.dropped_rows[rule] += int((hit & keep).sum())
            keep &= ~hit
        rows = np.empty(int(keep.sum()), self._dtype)
        rows["code"], rows["time"] = codes[keep], times[keep]
        rows["source"] = (self.tally.rows_read - len(keep) + np.arange(len(keep)))[keep]
        rows["values"] = block.values[keep]
        self._append(rows)

    def note_bad_rows(self, bad: Sequence[BadRow]) -> None:
        """Count rows the reader could not convert, and stop where there are more than allowed."""
        for row in bad:
            self.tally.bad_rows[row.reason] += 1
        self.tally.rows_read += len(bad)
        self._list_bad(bad)

    def _note_bad(self, rows: Bool, reason: str, block: RawBlock, where: str) -> None:
        places = np.flatnonzero(rows)
        if not len(places):
            return
        self.tally.bad_rows[reason] += len(places)
        texts = block.time if reason.startswith("time") else block.entity
        shown = places[:NUM_BAD_LISTED].tolist()
        self._list_bad([BadRow(where, int(block.line[p]), reason, str(texts[p])[:BAD_TEXT_LENGTH]) for p in shown])

    def _list_bad(self, bad: Sequence[BadRow]) -> None:
        first_bad = self.tally.first_bad
        first_bad += bad[: NUM_BAD_LISTED - len(first_bad)]
        if self.tally.bad_rows.total() > self._max_bad_rows:
            first = first_bad[0]
            raise DataError(
                f"{first.file}, line {first.line}",
                first.reason,
                found=repr(first.text),
                allowed=f"{self._max_bad_rows} bad rows",
                do="Mend the row, or allow bad rows to be left out and counted with max_bad_rows.",
            )

    def _entity_codes(self, column: pa.Array) -> tuple[Int64, Bool]:
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        names = column.dictionary.cast(pa.string()).to_pylist()
        local = np.array([self._code(name) if name else -1 for name in names] or [-1], np.int64)
        places = column.indices.cast(pa.int64()).fill_null(-1).to_numpy()
        codes = np.where(places >= 0, local[places], -1)
        return codes, codes >= 0

    def _code(self, name: str) -> int:
        code = self.codes.setdefault(name, len(self.codes))
        if code == len(self._bucket_of_code):
            self._bucket_of_code.append(bisect_right(self._splits, name.encode()))
        return code

    def _times(self, column: pa.Array, time_format: TimeFormat | None, where: str) -> tuple[Int64, Bool]:
        if pa.types.is_dictionary(column.type) and time_format is not None:
            parsed, valid = parse_texts(column.dictionary.cast(pa.string()), time_format)
            places = column.indices.cast(pa.int64()).fill_null(-1).to_numpy()
            parsed, valid = np.append(parsed, 0), np.append(valid, False)
            kind, times, fits = time_format.calendar_kind, parsed[places], valid[places]
        else:
            times, fits, kind = from_typed(column, where=where)
        if self.calendar_kind and kind != self.calendar_kind:
            raise DataError(where, "sources disagree on the kind of time", found=kind, allowed=self.calendar_kind)
        self.calendar_kind = kind
        return times, fits

    def _append(self, rows: AnyArray) -> None:
        buckets = np.array(self._bucket_of_code or [0], np.int64)[rows["code"]]
        order = np.argsort(buckets, kind="stable")
        cuts = np.searchsorted(buckets[order], np.arange(len(self._files) + 1))
        for number, file in enumerate(self._files):
            if cuts[number + 1] > cuts[number]:
                file.write(rows[order[cuts[number] : cuts[number + 1]]].tobytes())
        self.tally.rows_kept += len(rows)
        counts = np.bincount(rows["code"], minlength=len(self.codes)).astype(np.int64)
        counts[: len(self.tally.rows_per_code)] += self.tally.rows_per_code
        self.tally.rows_per_code = counts
        self._new_times.append(np.unique(rows["time"]))
        if sum(map(len, self._new_times)) > max(65_536, len(self.tally.calendar)):
            self._merge_times()

    def _merge_times(self) -> None:
        self.tally.calendar = np.unique(np.concatenate([self.tally.calendar, *self._new_times]))
        self._new_times = []

    def mark(self) -> tuple[Tally, list[int]]:
        """Remember this moment, to roll back to."""
        self._merge_times()
        return self.tally.copy(), [file.tell() for file in self._files]

    def roll_back(self, marked: tuple[Tally, list[int]]) -> None:
        """Forget all rows since the mark."""
        self.tally, self._new_times = marked[0], []
        for file, size_bytes in zip(self._files, marked[1], strict=True):
            file.flush()
            file.seek(size_bytes)
            file.truncate()

    def close(self) -> None:
        """Finish the bucket files."""
        self._merge_times()
        for file in self._files:
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()
