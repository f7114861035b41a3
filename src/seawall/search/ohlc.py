"""Bars from their table into mapped arrays, checked: every bar is possible, sorted within its entity, and counted."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from seawall.arrays import AnyArray, Float64, Int64
from seawall.budget.heartbeat import Beat
from seawall.errors import DataError
from seawall.search.bars import Bars
from seawall.search.config import MAX_HOLDING_PERIODS, BarsConfig
from seawall.search.sources import Texts, TimeReader, read_checked, tables_of
from seawall.stores.atomic import write_json
from seawall.stores.npy import ArrayWriter, advise_random

NS = 1_000_000_000
COLUMNS = ("time", "slot", "open", "high", "low", "close", "funding")
PIECE_ROWS = 16_384


@dataclass(slots=True)
class BarCounts:
    """What was found in the table of bars."""

    num_rows: int = 0
    num_missing: int = 0
    """Bars with a price that is not there: left out, as if the bar were missing."""
    num_impossible: int = 0
    num_widened: int = 0
    kind: str = "timestamp"
    rows_of: list[int] = field(default_factory=list)

    def record(self) -> dict[str, int]:
        """Give the counts as plain JSON values."""
        return {
            "rows": self.num_rows,
            "missing": self.num_missing,
            "impossible_dropped": self.num_impossible,
            "widened": self.num_widened,
        }


def spool_dtype() -> np.dtype:
    """Layout of one bar on its way."""
    return np.dtype([("code", "<i4"), ("time", "<i8"), ("values", "<f8", (5,))])


def write_bars(files: Sequence[Path], config: BarsConfig, folder: Path, beat: Beat) -> BarCounts:
    """Read the bars of all files into ``folder``; one block and one entity are in memory at a time.

    Raises
    ------
    DataError
        For an impossible bar, a bar out of order, twice the same time, or no bar at all: with entity and time.
    """
    names, counts = Texts(), BarCounts()
    spool = folder / "bars.spool"
    tables = tables_of(files, config.entity, config.time)
    reader = TimeReader(tables, config.time_format)
    wanted = [config.open, config.high, config.low, config.close, *([config.funding] if config.funding else [])]
    with spool.open("wb") as out:
        for table in tables:
            where = f"bars {table.part.label}"
            for block in read_checked(table, wanted):
                codes = names.codes(block.entity, where)
                times = reader.times(block.time, where)
                _spool(out, codes, times, block.values, config, names, counts)
                beat("read bars", counts.num_rows)
    counts.kind = reader.kind
    _write_sorted(spool, names.names, config, counts, folder, beat)
    spool.unlink()
    return counts


def _spool(
    out: IO[bytes], codes: Int64, times: Int64, values: Float64, config: BarsConfig, names: Texts, counts: BarCounts
) -> None:  # fmt: skip
    """Check a block and append its usable bars."""
    counts.num_rows += len(codes)
    prices = values[:, :4]
    there = np.isfinite(prices).all(axis=1)
    counts.num_missing += int((~there).sum())
    bad = there & ((prices <= 0).any(axis=1) | (prices[:, 1] < prices[:, 2]))
    if bad.any() and config.impossible == "error":
        raise _impossible(codes, times, prices, int(np.argmax(bad)), names, config)
    counts.num_impossible += int(bad.sum())
    kept = there & ~bad
    records = np.zeros(int(kept.sum()), spool_dtype())
    records["code"], records["time"] = codes[kept], times[kept]
    records["values"][:, :4] = _ranged(codes[kept], times[kept], prices[kept], config, names, counts)
    if values.shape[1] == 5:
        records["values"][:, 4] = np.nan_to_num(values[kept, 4], nan=0.0)
    out.write(records.tobytes())
    counts.rows_of += [0] * (len(names.names) - len(counts.rows_of))
    for code, number in zip(*np.unique(codes[kept], return_counts=True), strict=True):
        counts.rows_of[int(code)] += int(number)


def _ranged(
    codes: Int64, times: Int64, prices: Float64, config: BarsConfig, names: Texts, counts: BarCounts
) -> Float64:  # fmt: skip
    """Refuse or widen bars whose open or close lies outside low..high."""
    high = np.maximum(prices[:, 1], np.maximum(prices[:, 0], prices[:, 3]))
    low = np.minimum(prices[:, 2], np.minimum(prices[:, 0], prices[:, 3]))
    outside = (high > prices[:, 1]) | (low < prices[:, 2])
    if outside.any() and config.outside_range == "error":
        place = int(np.argmax(outside))
        raise DataError(
            _bar(codes, times, place, names),
            "open or close is outside low..high",
            found=_prices(prices[place]),
            do="Mend the bar, or set bars.outside_range: widen, which stretches the range and counts it.",
        )
    counts.num_widened += int(outside.sum())
    return np.column_stack([prices[:, 0], high, low, prices[:, 3]])


def _impossible(
    codes: Int64, times: Int64, prices: Float64, place: int, names: Texts, config: BarsConfig
) -> DataError:  # fmt: skip
    what = "high is below low" if prices[place, 1] < prices[place, 2] else "a price is not above zero"
    return DataError(
        _bar(codes, times, place, names),
        what,
        found=_prices(prices[place]),
        do="Mend the bar, or set bars.impossible: drop, which treats such bars as missing and counts them.",
    )


def _bar(codes: Int64, times: Int64, place: int, names: Texts) -> str:
    return f"bars: {names.names[int(codes[place])]!r} at {shown_time(int(times[place]))}"


def _prices(row: Float64) -> str:
    return "open {:g}, high {:g}, low {:g}, close {:g}".format(*row.tolist())


def shown_time(time: int) -> str:
    """Write a time of the arrays: ns since 1970 as ISO, small numbers as steps."""
    return str(np.datetime64(time, "ns").astype("datetime64[s]")) if abs(time) > 10**15 else str(time)


def _write_sorted(
    spool: Path, names: Sequence[str], config: BarsConfig, counts: BarCounts, folder: Path, beat: Beat
) -> None:  # fmt: skip
    """Bring the bars of each entity together, in byte order of names."""
    order = sorted(range(len(names)), key=lambda code: names[code].encode())
    sizes = np.array([counts.rows_of[code] for code in order], np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    if offsets[-1] == 0:
        raise DataError("bars", "no usable bar", found=f"{counts.num_rows:,} rows, none with all prices")
    cursor = np.empty(len(names), np.int64)
    cursor[order] = offsets[:-1]
    gathered = folder / "bars.gathered"
    rows = np.memmap(spool, spool_dtype(), "r")
    target = np.memmap(gathered, spool_dtype(), "w+", shape=(int(offsets[-1]),))
    for start in range(0, len(rows), PIECE_ROWS):
        piece = rows[start : start + PIECE_ROWS]
        by_code = np.argsort(piece["code"], kind="stable")
        codes, firsts, numbers = np.unique(piece["code"][by_code], return_index=True, return_counts=True)
        for code, first, number in zip(codes.tolist(), firsts.tolist(), numbers.tolist(), strict=True):
            target[cursor[code] : cursor[code] + number] = piece[by_code[first : first + number]]
            cursor[code] += number
        beat("sort bars", start, len(rows))
    sorted_names = [names[code] for code in order]
    write_arrays(_reader(target), sorted_names, offsets, config, counts.kind, folder)
    del target
    gathered.unlink()


Reader = Callable[[int, int], tuple[Int64, Float64]]
"""Gives times [n] and values [n, 5] of a run of rows."""


def _reader(rows: AnyArray) -> Reader:
    return lambda start, stop: (np.array(rows["time"][start:stop]), np.array(rows["values"][start:stop]))


def write_arrays(
    read: Reader, names: Sequence[str], offsets: Int64, config: BarsConfig, kind: str, folder: Path
) -> None:  # fmt: skip
    """Write the columns of all entities, ``PIECE_ROWS`` rows at a time.

    Raises
    ------
    DataError
        Where times of an entity do not grow, or two bars lie in one period.
    """
    longest = int(np.argmax(np.diff(offsets)))
    period = (config.period or 0) * (NS if kind == "timestamp" else 1)
    head = slice(int(offsets[longest]), min(int(offsets[longest]) + PIECE_ROWS, int(offsets[longest + 1])))
    period = period or _frequent_step(read(head.start, head.stop)[0])
    base = 0
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(ArrayWriter(folder / f"{name}.npy", "<i8" if name in COLUMNS[:2] else "<f8"))
            for name in COLUMNS
        }
        for name, start, stop in zip(names, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            column = _EntityColumns(name, max(1, period), config, base)
            for first in range(start, stop, PIECE_ROWS):
                times, values = read(first, min(first + PIECE_ROWS, stop))
                for key, array in column.take(times, values).items():
                    writers[key].append(array)
            base = column.last_slot + 2 * MAX_HOLDING_PERIODS
    meta = {"entities": list(names), "offsets": offsets.tolist(), "period": max(1, period), "kind": kind}
    write_json(folder / "bars.json", meta)


class _EntityColumns:
    """The columns of one entity as they grow; refuses times that do not."""

    def __init__(self, name: str, period: int, config: BarsConfig, base: int) -> None:
        self.name, self.period, self.config, self.base = name, period, config, base
        self.first: int | None = None
        self.last_time, self.last_slot, self.num_rows, self.funding = 0, base, 0, 0.0

    def take(self, times: Int64, values: Float64) -> dict[str, AnyArray]:
        """Give the columns of the next rows."""
        before = times[:1] - 1 if self.first is None else np.array([self.last_time])
        self._require_order(np.concatenate([before, times]))
        self.first = int(times[0]) if self.first is None else self.first
        slots = self._slots(times)
        funding = np.cumsum(values[:, 4]) + self.funding
        self.last_time, self.last_slot, self.funding = int(times[-1]), int(slots[-1]), float(funding[-1])
        self.num_rows += len(times)
        prices = {key: values[:, place] for place, key in enumerate(COLUMNS[2:6])}
        return {"time": times, "slot": slots, **prices, "funding": funding}

    def _require_order(self, times: Int64) -> None:
        steps = np.diff(times)
        if not (steps <= 0).any():
            return
        place = int(np.argmax(steps <= 0))
        what = "the same time occurs twice" if steps[place] == 0 else "not in order of time"
        raise DataError(
            f"bars: {self.name!r}",
            what,
            found=f"{shown_time(int(times[place + 1]))} after {shown_time(int(times[place]))}",
            do="Sort the bars of each entity by time, and keep one per time.",
        )

    def _slots(self, times: Int64) -> Int64:
        if self.config.holding == "bars" or self.first is None:
            return self.base + self.num_rows + np.arange(len(times), dtype=np.int64)
        slots = self.base + (times - self.first) // self.period
        clash = np.diff(slots, prepend=slots[:1] - 1 if not self.num_rows else self.last_slot) <= 0
        if not clash.any():
            return np.asarray(slots, np.int64)
        length = f"{self.period / NS:g} s" if abs(self.first) > 10**15 else f"{self.period} steps"
        raise DataError(
            f"bars: {self.name!r}",
            "two bars lie inside one period",
            found=shown_time(int(times[np.argmax(clash)])),
            allowed=f"one bar in {length}",
            do="Set bars.period to the length of a bar, or bars.holding: bars.",
        )


def _frequent_step(times: Int64) -> int:
    if len(times) < 2:
        return 0
    steps, numbers = np.unique(np.diff(times), return_counts=True)
    return int(steps[np.argmax(numbers)])


def open_bars(folder: Path) -> Bars:
    """Map what :func:`write_bars` wrote, read-only; entries come in order of time, so rows are read at random."""
    meta = json.loads((folder / "bars.json").read_text(encoding="utf-8"))
    columns = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in COLUMNS}
    for column in columns.values():
        advise_random(column)
    return Bars(
        **columns,
        offsets=np.array(meta["offsets"], np.int64),
        entities=tuple(meta["entities"]),
        period=int(meta["period"]),
    )
