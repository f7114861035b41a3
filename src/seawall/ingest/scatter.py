"""Pass one: rows as they come, set aside on disk by entity range. Memory is one block and the rows of one run."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from seawall.arrays import AnyArray, Bool, Int64
from seawall.budget.environment import give_back_free_memory
from seawall.errors import DataError
from seawall.ingest.disorder import Disorder
from seawall.ingest.quality import Quality
from seawall.ingest.record import RecordLayout
from seawall.ingest.rules import RowRules
from seawall.ingest.spill import Mark, Spill, Written
from seawall.tables.read import BAD_TEXT_LENGTH, BadRow, RawBlock
from seawall.tables.times import TimeFormat, from_typed, parse_texts

SPILL_NAME = "scattered.rows"
NUM_BAD_LISTED = 10
"""Bad rows listed with file and line; all are counted."""

TIMES_KEPT = 65_536
BLOCKS_KEPT = 64
"""Times, and blocks of codes and times, held back before they are merged into calendar and counts."""

FEW_TEXTS = 64
TEXTS_KNOWN = 4096
"""Time texts of a block that are looked up one by one, and how many are remembered for that."""


def record_dtype(num_wide: int, num_narrow: int) -> np.dtype:
    """Layout of a row between the passes: entity code, time, float64 values, float32 values."""
    return np.dtype([("code", "<i4"), ("time", "<i8"), ("wide", "<f8", (num_wide,)), ("narrow", "<f4", (num_narrow,))])


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
    narrow: Quality = field(default_factory=lambda: Quality([]))
    disorder: Disorder = field(default_factory=Disorder)

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
            self.narrow.copy_counts(),
            self.disorder.copy(),
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


@dataclass(frozen=True, slots=True)
class ScatterConfig:
    """How much is staged before it is written, and how many bad rows are let pass."""

    staging_bytes: int
    max_bad_rows: int


@dataclass(frozen=True, slots=True)
class ScatterState:
    """All that a scatter pass knows, to go on in another process."""

    tally: Tally
    names: list[str]
    """Entities in the order of their codes."""
    calendar_kind: str
    splits: list[bytes]
    written: Written


class Scatter:
    """Set rows aside in a spill file, one part for each entity range; the file stays when it is closed.

    Memory: the block being scattered, the staging of the spill file, 8 bytes a distinct time, and the names and last
    times of the entities.

    Parameters
    ----------
    splits
        Names that begin ranges 1, 2, ...; a state that is gone on with has its own.
    """

    def __init__(
        self,
        folder: Path,
        splits: Sequence[bytes],
        layout: RecordLayout,
        columns: Sequence[str],
        config: ScatterConfig,
        state: ScatterState | None = None,
    ) -> None:
        dtype = record_dtype(len(layout.wide), len(layout.narrow))
        self._splits = list(splits if state is None else state.splits)
        written = None if state is None else state.written
        self.spill = Spill(folder / SPILL_NAME, dtype, len(self._splits) + 1, config.staging_bytes, written)
        self.layout = layout
        self.codes: dict[str, int] = {}
        self.tally = Tally(narrow=Quality(list(layout.narrow)))
        self.calendar_kind = ""
        self.guesses: list[str] = []
        self.joined: list[dict[str, Any]] = []
        self._wide = [columns.index(name) for name in layout.wide]
        self._narrow = [columns.index(name) for name in layout.narrow]
        self._max_bad_rows = config.max_bad_rows
        self._part_of_code: AnyArray = np.empty(1024, np.int64)
        self._counted: list[Int64] = []
        self._new_times: list[Int64] = []
        self._num_new_times = 0
        self._parsed: tuple[pa.Array, Int64, Bool] | None = None
        self._known_times: dict[str, tuple[int, bool]] = {}
        if state is not None:
            self.tally, self.calendar_kind = state.tally, state.calendar_kind
            for name in state.names:
                self._code(name)

    def state(self) -> ScatterState:
        """Force all rows to disk and give what is needed to go on from here."""
        self._count()
        self._merge_times()
        return ScatterState(self.tally, list(self.codes), self.calendar_kind, self._splits, self.spill.settle())

    def add(self, block: RawBlock, time_format: TimeFormat | None, where: str, rules: RowRules) -> None:
        """Scatter one block; rows with a missing key or an unreadable time are bad rows."""
        self.tally.rows_read += len(block.line)
        codes, has_entity = self._entity_codes(block.entity)
        times, has_time = self._times(block.time, time_format, where)
        bad = self._bad(~has_entity, "missing entity", block, where)
        bad += self._bad(has_entity & ~has_time, "time is missing or does not fit the format", block, where)
        if bad:
            self._list_bad(sorted(bad, key=lambda row: row.line))
        keep = has_entity & has_time
        for rule, hit in rules.hits(block, times, self.calendar_kind).items():
            self.tally.dropped_rows[rule] += int((hit & keep).sum())
            keep &= ~hit
        values = block.values
        if not keep.all():
            codes, times, values = codes[keep], times[keep], values[keep]
        self._append(codes, times, values)

    def part_of_codes(self) -> Int64:
        """Give the part of each entity code."""
        return self._part_of_code[: len(self.codes)]

    def note_bad_rows(self, bad: Sequence[BadRow]) -> None:
        """Count rows the reader could not convert, and stop where there are more than allowed."""
        for row in bad:
            self.tally.bad_rows[row.reason] += 1
        self.tally.rows_read += len(bad)
        self._list_bad(bad)

    def _bad(self, rows: Bool, reason: str, block: RawBlock, where: str) -> list[BadRow]:
        """Count rows that cannot be used, and give the first of them."""
        places = np.flatnonzero(rows)
        if not len(places):
            return []
        self.tally.bad_rows[reason] += len(places)
        texts = block.time if reason.startswith("time") else block.entity
        shown = places[:NUM_BAD_LISTED].tolist()
        return [BadRow(where, int(block.line[p]), reason, str(texts[p])[:BAD_TEXT_LENGTH]) for p in shown]

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
        known = self.codes.get
        local = [known(name, -1) for name in names]
        if -1 in local:
            local = [self._code(name) if name else -1 for name in names]
        places = column.indices
        if not places.null_count and min(local, default=-1) >= 0:
            codes = np.array(local, np.int64)[places.to_numpy()]
            return codes, np.ones(len(codes), bool)
        indices = places.cast(pa.int64()).fill_null(-1).to_numpy()
        codes = np.where(indices >= 0, np.array(local or [-1], np.int64)[indices], -1)
        return codes, codes >= 0

    def _code(self, name: str) -> int:
        code = self.codes.setdefault(name, len(self.codes))
        if code == len(self._part_of_code):
            self._part_of_code = np.concatenate([self._part_of_code, np.empty_like(self._part_of_code)])
        self._part_of_code[code] = bisect_right(self._splits, name.encode())
        return code

    def _times(self, column: pa.Array, time_format: TimeFormat | None, where: str) -> tuple[Int64, Bool]:
        if pa.types.is_dictionary(column.type) and time_format is not None:
            parsed, valid = self._parse_texts(column.dictionary, time_format)
            places = column.indices.cast(pa.int64()).fill_null(-1).to_numpy()
            kind, times, fits = time_format.calendar_kind, parsed[places], valid[places]
        else:
            times, fits, kind = from_typed(column, where=where)
        if self.calendar_kind and kind != self.calendar_kind:
            raise DataError(where, "sources disagree on the kind of time", found=kind, allowed=self.calendar_kind)
        self.calendar_kind = kind
        return times, fits

    def _parse_texts(self, texts: pa.Array, time_format: TimeFormat) -> tuple[Int64, Bool]:
        """Parse distinct texts, and a missing one at the end; daily tables repeat the same texts all the time."""
        if self._parsed is None or not self._parsed[0].equals(texts):
            words = texts.cast(pa.string())
            few = len(words) <= FEW_TEXTS
            times, valid = self._looked_up(words, time_format) if few else parse_texts(words, time_format)
            self._parsed = texts, np.append(times, 0), np.append(valid, False)
        return self._parsed[1:]

    def _looked_up(self, words: pa.Array, time_format: TimeFormat) -> tuple[Int64, Bool]:
        """Parse the texts that were not met before: a block of a daily table begins with the last one's day."""
        texts, known = words.to_pylist(), self._known_times
        if len(known) > TEXTS_KNOWN:
            known.clear()
        new = [text for text in texts if text not in known]
        if new:
            times, valid = parse_texts(pa.array(new, pa.string()), time_format)
            known.update(zip(new, zip(times.tolist(), valid.tolist(), strict=True), strict=True))
        pairs = [known[text] for text in texts]
        return np.array([time for time, _ in pairs], np.int64), np.array([fits for _, fits in pairs], bool)

    def _append(self, codes: Int64, times: Int64, values: AnyArray) -> None:
        rows: AnyArray = np.empty(len(codes), self.spill.dtype)
        rows["code"], rows["time"] = codes, times
        for place, column in enumerate(self._wide):
            rows["wide"][:, place] = values[:, column]
        if self._narrow:
            exact = values.T if len(self._narrow) == values.shape[1] else values.T[self._narrow]
            cast = self.tally.narrow.see_columns(exact, range(len(self._narrow)))
            rows["narrow"] = cast.T
        self.spill.add(rows, self._part_of_code[codes])
        self.tally.rows_kept += len(rows)
        self.tally.disorder.see(codes, times)
        self._counted.append(codes)
        if len(self._counted) == BLOCKS_KEPT:
            self._count()
            give_back_free_memory()  # else the holes that row groups leave behind add up over a long table
        self._note_times(times)

    def _note_times(self, times: Int64) -> None:
        # a copy: a view of one time would keep the times of the whole block
        self._new_times.append(times[:1].copy() if (times == times[:1]).all() else np.unique(times))
        self._num_new_times += len(self._new_times[-1])
        if self._num_new_times > max(TIMES_KEPT, len(self.tally.calendar) // 8):  # seldom, where the calendar is long
            self._merge_times()
        elif len(self._new_times) >= BLOCKS_KEPT and self._num_new_times < TIMES_KEPT:
            self._new_times = [np.unique(np.concatenate(self._new_times))]
            self._num_new_times = len(self._new_times[0])

    def _count(self) -> None:
        counts = np.bincount(np.concatenate([*self._counted, np.empty(0, np.int64)]), minlength=len(self.codes))
        counts[: len(self.tally.rows_per_code)] += self.tally.rows_per_code
        self.tally.rows_per_code, self._counted = counts.astype(np.int64), []

    def _merge_times(self) -> None:
        """Put new times into the calendar; memory is the calendar once more, and five times the new ones."""
        new, calendar = np.unique(np.concatenate([*self._new_times, np.empty(0, np.int64)])), self.tally.calendar
        self._new_times, self._num_new_times = [], 0
        places = np.searchsorted(calendar, new)
        is_known = places < len(calendar)
        is_known[is_known] = calendar[places[is_known]] == new[is_known]
        if not is_known.all():
            self.tally.calendar = np.insert(calendar, places[~is_known], new[~is_known])

    def mark(self) -> tuple[Tally, Mark]:
        """Remember this moment, to roll back to."""
        self._count()
        self._merge_times()
        return self.tally.copy(), self.spill.mark()

    def roll_back(self, marked: tuple[Tally, Mark]) -> None:
        """Forget all rows since the mark."""
        self.tally, self._new_times, self._num_new_times, self._counted = marked[0].copy(), [], 0, []
        self.spill.roll_back(marked[1])

    def finish(self) -> None:
        """Write what is staged; counts and calendar are exact from here on."""
        self._count()
        self._merge_times()
        self.spill.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.spill.close(keep=True)
