"""One bounded reading of keys and numbers before a config exists: sizes, calendar, ranges, repeated keys, jumps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from seawall.arrays import AnyArray, Float64, Int64
from seawall.budget.heartbeat import Beat
from seawall.tables.keys import EntityCodes
from seawall.tables.read import BadRow, RawBlock, TypedReadError
from seawall.tables.table import Table
from seawall.tables.times import TimeFormat, from_typed, parse_texts

MOST_ROWS = 1_000_000
"""Rows read at most; a whole table where it has no more."""

MOST_BAD_ROWS = 10_000
"""Rows that do not parse, after which reading stops: something else is wrong then."""

JUMP_RATIO = 2.0
"""A price that doubles or halves from one row to the next is told as a jump."""

USUAL_GAPS = 5
"""A jump over more than so many usual steps is no jump of one bar."""

NUM_EXAMPLES = 3


@dataclass(slots=True)
class ColumnRange:
    """What one number column holds."""

    lowest: float = np.inf
    highest: float = -np.inf
    num_missing: int = 0
    num_rows: int = 0
    num_not_positive: int = 0
    is_whole: bool = True

    def update(self, x_N: Float64) -> None:
        """Take in one block."""
        present = x_N[np.isfinite(x_N)]
        self.num_rows += len(x_N)
        self.num_missing += len(x_N) - len(present)
        if len(present):
            self.lowest = min(self.lowest, float(present.min()))
            self.highest = max(self.highest, float(present.max()))
            self.num_not_positive += int((present <= 0).sum())
            self.is_whole = self.is_whole and bool((present == np.floor(present)).all())

    def record(self) -> dict[str, Any]:
        """Give plain JSON values; no range where every value is missing."""
        seen = self.num_rows > self.num_missing
        return {
            "lowest": self.lowest if seen else None,
            "highest": self.highest if seen else None,
            "num_missing": self.num_missing,
            "num_rows": self.num_rows,
            "num_not_positive": self.num_not_positive,
            "is_whole": self.is_whole and seen,
        }


@dataclass(slots=True)
class Survey:
    """Read rows until there are enough, and keep keys and one price column of them.

    Memory is 20 bytes a row read, as much again and 16 bytes while keys are sorted.

    Parameters
    ----------
    values
        Number columns whose ranges are wanted.
    price
        One of them whose jumps are counted; None where there is none.
    """

    values: Sequence[str]
    price: str | None
    ranges: dict[str, ColumnRange] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)
    codes: EntityCodes = field(default_factory=EntityCodes)
    num_rows: int = 0
    is_complete: bool = True
    kind: str = "timestamp"
    _entity: list[AnyArray] = field(default_factory=list)
    _time: list[Int64] = field(default_factory=list)
    _price: list[Float64] = field(default_factory=list)

    def read(self, tables: Sequence[Table], time_format: TimeFormat | None, beat: Beat) -> None:
        """Read tables in their order, until :data:`MOST_ROWS` rows are read."""
        self.ranges = {name: ColumnRange() for name in self.values}
        for number, table in enumerate(tables):
            if self.num_rows >= MOST_ROWS:
                self.is_complete = False
                return
            beat("look at the rows", number, len(tables))
            present = [name for name in self.values if name in table.names]
            if not self._read_fast(table, present, time_format):
                for block in table.checked(present, time_format, self.bad):
                    if not self._take(block, present, time_format, table) or len(self.bad) > MOST_BAD_ROWS:
                        self.is_complete = False
                        break

    def _read_fast(self, table: Table, present: list[str], time_format: TimeFormat | None) -> bool:
        """Read with fixed types; False where nothing was taken yet and a value does not fit."""
        taken = (self.num_rows, len(self._entity))
        saved = {name: ColumnRange(**_fields(found)) for name, found in self.ranges.items()}
        try:
            for block in table.blocks(present, time_format):
                if not self._take(block, present, time_format, table):
                    break
        except TypedReadError:
            self.num_rows, self.ranges = taken[0], saved
            del self._entity[taken[1] :], self._time[taken[1] :], self._price[taken[1] :]
            return False
        return True

    def _take(self, block: RawBlock, present: list[str], time_format: TimeFormat | None, table: Table) -> bool:
        """Keep a block; False once there are enough rows."""
        entity, has_name = self.codes.encode(block.entity)
        time, has_time = self._times(block, time_format, table)
        usable = has_name & has_time
        for place in np.flatnonzero(~usable)[: max(0, NUM_EXAMPLES - len(self.bad))].tolist():
            text = f"{block.entity[place]}, {block.time[place]}"
            reason = "no entity" if not has_name[place] else "no time of the format"
            self.bad.append(BadRow(table.part.label, int(block.line[place]), reason, text))
        for place, name in enumerate(present):
            self.ranges[name].update(block.values[usable, place])
        self._entity.append(entity[usable].astype(np.int32))
        self._time.append(time[usable])
        if self.price is not None:
            held = self.price in present
            price = block.values[usable, present.index(self.price)] if held else np.full(int(usable.sum()), np.nan)
            self._price.append(price.copy())
        self.num_rows += int(usable.sum())
        if self.num_rows >= MOST_ROWS:
            self.is_complete = False
            return False
        return True

    def _times(self, block: RawBlock, time_format: TimeFormat | None, table: Table) -> tuple[Int64, AnyArray]:
        where = f"source {table.part.label}"
        column = block.time
        if not pa.types.is_dictionary(column.type) or time_format is None:
            times, valid, self.kind = from_typed(column, where=where)
            return times, valid
        parsed, fits = parse_texts(column.dictionary.cast(pa.string()), time_format)
        self.kind = time_format.calendar_kind
        places = column.indices.cast(pa.int64()).fill_null(-1).to_numpy()
        return np.append(parsed, 0)[places], np.append(fits, False)[places]

    def record(self) -> dict[str, Any]:
        """Tell what was seen, as plain JSON values.

        ``first_time`` and ``last_time`` are text; ``usual_step`` is the median distance of neighbours of the calendar
        (seconds, or steps); ``num_repeated`` counts rows whose key occurred before.
        """
        entity = np.concatenate(self._entity) if self._entity else np.empty(0, np.int32)
        time = np.concatenate(self._time) if self._time else np.empty(0, np.int64)
        calendar, place = np.unique(time, return_inverse=True)
        steps = np.diff(calendar)
        unit = 1 if self.kind == "step" else 10**9
        lengths = np.bincount(entity) if len(entity) else np.zeros(1, np.int64)
        order = np.argsort(entity.astype(np.int64) * max(1, len(calendar)) + place, kind="stable")
        same = np.diff(entity[order]) == 0
        repeated = same & (np.diff(place[order]) == 0)
        usual = float(np.median(steps)) / unit if len(steps) else 0.0
        return {
            "num_rows": self.num_rows,
            "is_complete": self.is_complete,
            "num_entities": len(self.codes),
            "entities": self.codes.names[:NUM_EXAMPLES],
            "shortest_rows": int(lengths[lengths > 0].min(initial=len(time))),
            "median_names": float(np.median(np.bincount(place))) if len(time) else 0.0,
            "kind": self.kind,
            "num_dates": len(calendar),
            "first_time": self._text(calendar, 0),
            "last_time": self._text(calendar, -1),
            "span_seconds": float(calendar[-1] - calendar[0]) / unit if len(calendar) else 0.0,
            "usual_step": usual,
            "num_repeated": int(repeated.sum()),
            "num_bad": len(self.bad),
            "bad": [f"{row.file}, line {row.line}: {row.reason} ({row.text})" for row in self.bad[:NUM_EXAMPLES]],
            "columns": {name: found.record() for name, found in self.ranges.items()},
            "num_jumps": self._num_jumps(order, same & ~repeated, time, usual * unit),
        }

    def _text(self, calendar: Int64, place: int) -> str:
        if not len(calendar):
            return ""
        if self.kind == "step":
            return str(int(calendar[place]))
        return str(np.datetime64(int(calendar[place]), "ns").astype("datetime64[s]")).removesuffix("T00:00:00")

    def _num_jumps(self, order: Int64, same: AnyArray, time: Int64, usual: float) -> int:
        """Count neighbours of an entity whose price more than doubles or halves within a few usual steps."""
        if not self._price:
            return 0
        price = np.concatenate(self._price)[order]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = price[1:] / price[:-1]
        near = np.diff(time[order]) <= USUAL_GAPS * usual
        positive = (price[1:] > 0) & (price[:-1] > 0)
        return int((same & near & positive & ((ratio > JUMP_RATIO) | (ratio < 1 / JUMP_RATIO))).sum())


def _fields(found: ColumnRange) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ColumnRange.__slots__}
