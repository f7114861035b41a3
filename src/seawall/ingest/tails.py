"""Which rows of each entity an append writes: from the first whose target the new rows decide, to the last."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Bool, Float64, Int64
from seawall.errors import DataError
from seawall.ingest.config import IngestConfig
from seawall.ingest.recipe import Reach, kept_columns, plain_features
from seawall.ingest.rows import Rows
from seawall.stores.panel import Panel
from seawall.stores.segments import ROLES

FIRST_LOOK_ROWS = 64
"""Rows looked at from the end of an entity to find where a new row belongs; doubled until it is found."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of one entity: panel rows ``halo`` .. ``stop`` - 1 are read, from ``keep`` on they are replaced."""

    name: str
    new: slice
    """Its rows in the table of new rows."""
    start: int
    """First row of the entity in the panel."""
    halo: int
    keep: int
    stop: int

    @property
    def num_rows(self) -> int:
        """Rows held while the tail is computed."""
        num_new: int = self.new.stop - self.new.start
        return self.stop - self.halo + num_new


def find_tails(panel: Panel, new: Panel, reach: Reach) -> list[Tail]:
    """Find the tail of every entity with new rows, in byte order of names. Reads the ends of time indexes alone."""
    number_of = {name: number for number, name in enumerate(panel.entities)}
    date_of = np.searchsorted(panel.calendar, new.calendar)
    tails = []
    for place, name in enumerate(new.entities):
        rows = slice(int(new.offsets[place]), int(new.offsets[place + 1]))
        if name not in number_of:
            tails.append(Tail(name, rows, 0, 0, 0, 0))
            continue
        start, stop = (int(row) for row in panel.offsets[number_of[name] : number_of[name] + 2])
        first = first_at(panel, start, stop, int(date_of[new.time_index[rows.start]]))
        keep = max(start, first - reach.ahead)
        halo = max(start, min(keep - reach.back, first - 1))  # the row before a break is read too
        tails.append(Tail(name, rows, start, halo, keep, stop))
    return tails


def first_at(panel: Panel, start: int, stop: int, date: int) -> int:
    """Find the first row of an entity at or after a calendar index, looking from its end."""
    look, low = FIRST_LOOK_ROWS, stop
    while low > start:
        low = max(start, stop - look)
        dates = panel.time_index[low:stop]
        place = int(np.searchsorted(dates, date))
        if place or low == start:
            return low + place
        look *= 2
    return start


class Merge:
    """Put new rows among the old ones of the same entities, as one ingest of all sources would.

    Parameters
    ----------
    config
        The recipe of the panel.
    new
        The new rows, every number column a price.
    every
        Give entities without a new row too.
    """

    def __init__(self, panel: Panel, new: Panel, config: IngestConfig, *, every: bool = False) -> None:
        self._panel, self._new, self._config, self._every = panel, new, config, every
        self._columns = config.value_columns
        self.num_new_rows = self.num_replaced = self.num_left_out = 0
        self.first_changed: int | None = None
        """Earliest time of a new row that was taken."""
        plain = {column: name for name, column in plain_features(config).items()}
        kept, roles = kept_columns(config), {column: role for role, column in config.roles.items()}
        self._from: list[tuple[str, int]] = []
        for column in self._columns:
            if column in config.prices:
                self._from.append(("prices", panel.column_index("prices", column)))
            elif column in kept:
                self._from.append(("values", panel.column_index("values", column)))
            elif column in plain:
                self._from.append(("features", panel.column_index("features", plain[column])))
            elif column in roles:
                self._from.append((roles[column], 0))
            else:
                self._from.append(("", 0))  # nothing reads it

    def blocks(self, tails: Sequence[Tail], max_rows: int) -> Iterator[tuple[Rows, Int64, list[Tail]]]:
        """Give merged rows of whole tails, at most ``max_rows`` at once unless one tail is longer.

        Yields
        ------
        Rows
            Sorted rows from each halo on.
        int64 [e]
            How many of each entity's first rows here are halo and not written again.
        list of Tail
            The entities; those without a new row to take are left out, but where every one is wanted.
        """
        held: list[Tail] = []
        num_rows = 0
        for tail in tails:
            if held and num_rows + tail.num_rows > max_rows:
                yield from self._block(held)
                held, num_rows = [], 0
            held.append(tail)
            num_rows += tail.num_rows
        if held:
            yield from self._block(held)

    def _block(self, tails: Sequence[Tail]) -> Iterator[tuple[Rows, Int64, list[Tail]]]:
        times: list[Int64] = []
        values: list[Float64] = []
        taken: list[Tail] = []
        for tail in tails:
            merged = self._merged(tail)
            if merged is not None:
                times.append(merged[0])
                values.append(merged[1])
                taken.append(tail)
        if not taken:
            return
        starts = np.concatenate([[0], np.cumsum([len(part) for part in times])]).astype(np.int64)
        carried = np.array([self._carried(tail) for tail in taken])
        whole = np.concatenate(values)
        values.clear()
        rows = Rows([tail.name for tail in taken], starts, np.concatenate(times), whole, carried)
        yield rows, np.array([tail.keep - tail.halo for tail in taken], np.int64), taken

    def _carried(self, tail: Tail) -> float:
        if tail.halo == tail.start:
            return 1.0
        return float(self._panel.adjustment[tail.halo : tail.halo + 1][0])

    def _merged(self, tail: Tail) -> tuple[Int64, Float64] | None:
        times = self._new.calendar[self._new.time_index[tail.new]]
        values = np.array(self._new.prices[tail.new])
        old_times, old_values = self._old(tail)
        overlap = np.isin(times, old_times, assume_unique=True)
        if overlap.any():
            kept = self._resolve(tail, times, overlap)
            if self._config.duplicates == "last":
                old = ~np.isin(old_times, times, assume_unique=True)
                old_times, old_values = old_times[old], old_values[old]
            times, values = times[kept], values[kept]
        if not len(times):
            return (old_times, old_values) if self._every else None
        self.num_new_rows += len(times)
        first = int(times[0])
        self.first_changed = first if self.first_changed is None else min(self.first_changed, first)
        if not len(old_times):
            return times, values
        merged_times, merged = np.concatenate([old_times, times]), np.concatenate([old_values, values])
        if old_times[-1] > times[0]:
            order = np.argsort(merged_times, kind="stable")
            merged_times, merged = merged_times[order], merged[order]
        return merged_times, merged

    def _resolve(self, tail: Tail, times: Int64, overlap: Bool) -> Bool:
        """Tell which new rows to take, of those that the panel has already."""
        num_twice = int(overlap.sum())
        if self._config.duplicates == "error":
            time = str(int(times[overlap][0]))
            if self._panel.calendar_kind == "timestamp":
                time = str(np.datetime64(int(time), "ns").astype("datetime64[s]")).removesuffix("T00:00:00")
            raise DataError(
                "append",
                f"the key ({self._config.entity}, {self._config.time}) is in the panel already",
                found=f"({tail.name!r}, {time}) and {num_twice - 1} more of this entity",
                do="Append new rows only, or ingest with duplicates: first or last.",
            )
        if self._config.duplicates == "last":
            self.num_replaced += num_twice
            return np.ones(len(times), bool)
        self.num_left_out += num_twice
        return ~overlap

    def _old(self, tail: Tail) -> tuple[Int64, Float64]:
        rows = slice(tail.halo, tail.stop)
        times = self._panel.calendar[self._panel.time_index[rows]]
        values = np.full((len(times), len(self._columns)), np.nan)
        groups = {group: getattr(self._panel, group)[rows] for group in {group for group, _ in self._from if group}}
        for place, (group, column) in enumerate(self._from):
            if group:
                values[:, place] = groups[group] if group in ROLES else groups[group][:, column]
        return times, values
