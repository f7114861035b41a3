"""Exact sums of any set of combinations over any part of the entries, in chunks, each step kept on disk.

A kill at any moment costs the work since the last checkpoint; sums are added in one fixed order, so that the continued
arrays are equal bit for bit. Memory: bars and entries are mapped; one chunk of tables and one band of sums are held.
"""

import json
import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seawall.arrays import Float64, Int64
from seawall.budget.heartbeat import Beat, silent
from seawall.search.bars import Bars
from seawall.search.costs import Costs
from seawall.search.detail import Detail
from seawall.search.entry_columns import Entries, Side
from seawall.search.first_hit import Tables, build
from seawall.search.levels import ExitLevels
from seawall.search.opportunities import Opportunities
from seawall.search.sharding import Sharding, SweepWanted
from seawall.search.sweep import STATISTICS, Chunk, Sums, add
from seawall.stores.atomic import text_key
from seawall.stores.read_ahead import ReadAhead

CHUNK_ENTRIES = 2048
"""Entries whose tables are held together. A constant, not a knob: it decides the order of additions."""

BAND_COMBINATIONS = 16_384


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries are taken: those whose weighted score reaches a threshold."""

    weights: tuple[float, ...] = ()
    threshold: float = -np.inf

    def mask(self, scores: Float64) -> npt.NDArray[np.bool_]:
        """Tell which entries [N] of scores [N, F] are taken; without scores, all are."""
        if not scores.shape[1]:
            return np.ones(len(scores), bool)
        return np.asarray(self.scores(scores) >= self.threshold)

    def scores(self, scores: Float64) -> Float64:
        """Weigh score components [N, F]; one expression for all callers, so that thresholds cut alike."""
        total = np.zeros(len(scores))
        for place, weight in enumerate(self.weights):
            total += weight * scores[:, place]
        return total

    def record(self) -> dict[str, object]:
        """Give it as plain JSON values."""
        threshold = None if self.threshold == -np.inf else self.threshold
        return {"weights": list(self.weights), "threshold": threshold}


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A run of entries and the blocks of time they are summed into."""

    name: str
    start: int
    stop: int
    edges: Int64
    """int64 [B + 1], times at which blocks begin and end; an entry after the last belongs to the last."""
    until: int | None = None
    """Entries whose longest holding has not ended by this time are left out: what comes after stays untouched."""

    @property
    def num_blocks(self) -> int:
        """Blocks of time."""
        return len(self.edges) - 1

    def blocks(self, times: Int64) -> Int64:
        """Give the block of each entry time."""
        found = np.searchsorted(self.edges, times, side="right") - 1
        return np.asarray(np.clip(found, 0, self.num_blocks - 1))


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Sums of all combinations of a set of levels; arrays are mapped."""

    levels: ExitLevels
    blocks: Float64
    """[C, B]"""
    statistics: Float64
    """[C, V], columns ``STATISTICS``."""
    num_entries: int
    num_opportunities: int
    ideal: float
    """Sum of the ideal net returns of the opportunities."""

    def totals(self) -> Float64:
        """Give the total net return of every combination [C]."""
        return np.asarray(np.asarray(self.blocks).sum(axis=1))


@dataclass(slots=True)
class Evaluator:
    """Evaluates combinations for the entries of one type, and keeps every result under ``folder``."""

    bars: Bars
    entries: Entries
    costs: Costs
    opportunities: Opportunities
    longest: int
    """Longest holding of the type, in periods."""
    folder: Path
    key: str
    """Identifies bars, entries, costs and rules: results of anything else are not taken for these."""
    only_opportunities: bool = False
    weights: Float64 | None = None
    """How many entries of the full set each entry stands for; None: itself alone."""
    band_combinations: int = BAND_COMBINATIONS
    checkpoint_seconds: float = 5.0
    beat: Beat = silent
    detail: Detail | None = None
    sharding: Sharding | None = None
    """Who may sum parts of a large sweep; None: this process sums all of it."""
    num_evaluations: int = field(default=0)

    def chunks(
        self, part: Part, selection: Selection, levels: ExitLevels, first: int = 0, *, ideal: bool = False
    ) -> Iterator[tuple[int, Int64, Side, Tables]]:  # fmt: skip
        """Give (next start, places in the entries, sides, tables) of each chunk with entries that are taken.

        With ``ideal``, the best possible exit is looked for within the longest holding of the type, else of the levels.
        """
        longest = self.longest if ideal or self.only_opportunities else 0
        for stop, places in self._asked_ahead(part, selection, first, max(longest, int(levels.holding[-1]))):
            if part.until is not None:
                ends = self.bars.ends(np.asarray(self.entries.rows[places]), self.longest)
                places = places[ends <= part.until]
            sides = np.asarray(self.entries.sides[places])
            rows = np.asarray(self.entries.rows[places])
            tables = build(self.bars, rows, sides, levels, self.costs, longest, self.detail)
            if self.only_opportunities:
                taken = np.flatnonzero(self.opportunities.mask(tables))
                places, sides, tables = places[taken], sides[taken], tables.take(taken)
            yield stop - part.start, places, sides, tables

    def _asked_ahead(
        self, part: Part, selection: Selection, first: int, window: int
    ) -> Iterator[tuple[int, Int64]]:  # fmt: skip
        """Give (end, places in the entries) of each chunk, after the bars of the chunk behind it were asked for."""
        bars, coming = self.bars, deque[tuple[int, Int64]]()
        ahead = ReadAhead([bars.time, bars.slot, bars.open, bars.high, bars.low, bars.close, bars.funding])
        for start in range(part.start + first, part.stop, CHUNK_ENTRIES):
            stop = min(start + CHUNK_ENTRIES, part.stop)
            places = start + np.flatnonzero(selection.mask(np.asarray(self.entries.scores[start:stop])))
            ahead.ask(np.asarray(self.entries.rows[places]), window)
            coming.append((stop, places))
            if len(coming) > 1:
                yield coming.popleft()
        yield from coming

    def evaluate(self, levels: ExitLevels, selection: Selection, part: Part) -> Evaluation:
        """Sum every combination over the entries that are taken, or find the sums of an earlier call on disk.

        Raises
        ------
        SweepWanted
            Where others are to sum parts of it first.
        """
        folder = self.folder / self._name(levels, selection, part)
        done = folder / "done.json"
        if not done.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            if not self._collect(levels, selection, part, folder):
                self.sum_into(levels, selection, part, folder)
        counts = json.loads(done.read_text(encoding="utf-8"))
        blocks, statistics = (
            np.memmap(folder / f"{name}.f8", np.float64, "r", shape=(levels.num_combinations, width))
            for name, width in (("blocks", part.num_blocks), ("statistics", len(STATISTICS)))
        )
        self.num_evaluations += counts["entries"] * levels.num_combinations
        return Evaluation(levels, blocks, statistics, counts["entries"], counts["opportunities"], counts["ideal"])

    def _name(self, levels: ExitLevels, selection: Selection, part: Part) -> str:
        """Identify a sweep."""
        identity = json.dumps([levels.record(), selection.record(), part.name, part.start, part.stop, part.until])
        return text_key(self.key, identity)

    def _collect(self, levels: ExitLevels, selection: Selection, part: Part, folder: Path) -> bool:
        """Put together what others have summed of a large sweep, or ask for it; False where it is none."""
        if self.sharding is None or self.weights is not None:
            return False
        num_evaluations = levels.num_combinations * (part.stop - part.start)
        shards = self.sharding.pieces(len(levels.take_profit), num_evaluations)
        if not shards:
            return False
        keys = [self._name(levels.take_profits(*shard), selection, part) for shard in shards]
        found = list(self.sharding.found(keys))
        missing = [number for number, told in enumerate(found) if told is None]
        if missing:
            order: dict[str, Any] = {
                "type": self.sharding.type_name,
                "work": str(self.sharding.work.absolute()),
                "key": self.key,
            }
            order |= {"part": part.name, "selection": selection.record(), "shards": shards, "keys": keys}
            order |= {"levels": levels.record()}
            raise SweepWanted(order | {"missing": missing, "only_opportunities": self.only_opportunities})
        self.sharding.put_together(len(shards), folder)
        _replace(folder / "done.json", json.dumps({k: v for k, v in (found[0] or {}).items() if k != "key"}).encode())
        self.sharding.forget()
        return True

    def sum_into(self, levels: ExitLevels, selection: Selection, part: Part, folder: Path) -> dict[str, Any]:
        """Sum every combination over the entries that are taken into files of a folder, from its last checkpoint on.

        Returns
        -------
        dict
            Counts of entries and opportunities, and the sum of the ideal returns of the latter.
        """
        state = _State.load(folder, part.num_blocks)
        per_take_profit = levels.num_combinations // len(levels.take_profit)
        step = max(1, self.band_combinations // per_take_profit)
        while state.next_take_profit < len(levels.take_profit):
            first = state.next_take_profit
            band = levels.take_profits(first, min(first + step, len(levels.take_profit)))
            if state.sums is None or len(state.sums.blocks) != band.num_combinations:
                state.sums, state.next_entry = Sums.zeros(band.num_combinations, part.num_blocks), 0
            self._band(band, selection, part, folder, state)
            _write_rows(folder, "blocks", first * per_take_profit, state.sums.blocks)
            _write_rows(folder, "statistics", first * per_take_profit, state.sums.statistics)
            state.next_take_profit, state.next_entry, state.sums = first + len(band.take_profit), 0, None
            if state.next_take_profit < len(levels.take_profit):
                state.save(folder)
        counts = {"entries": state.num_entries, "opportunities": state.num_opportunities, "ideal": state.ideal}
        _replace(folder / "done.json", json.dumps(counts).encode())
        (folder / "partial.npz").unlink(missing_ok=True)
        return counts

    def _band(self, band: ExitLevels, selection: Selection, part: Part, folder: Path, state: "_State") -> None:
        if state.sums is None:
            return
        saved = time.monotonic()
        for upcoming, places, _, tables in self.chunks(part, selection, band, state.next_entry):
            is_opportunity = self.opportunities.mask(tables)
            if state.next_take_profit == 0:
                state.num_entries += len(places)
                state.num_opportunities += int(is_opportunity.sum())
                state.ideal += float(tables.ideal[is_opportunity].sum())
            if len(places):
                weights = None if self.weights is None else self.weights[places]
                blocks = part.blocks(np.asarray(self.entries.times[places]))
                chunk = Chunk(blocks, self.opportunities.hurdle(tables), is_opportunity.astype(float), weights)
                add(tables, band, chunk, state.sums)
            state.next_entry = upcoming
            self.beat(f"sweep {part.name}", upcoming, part.stop - part.start)
            if time.monotonic() - saved >= self.checkpoint_seconds:
                state.save(folder)
                saved = time.monotonic()


@dataclass(slots=True)
class _State:
    """How far an evaluation has come; everything a continued one needs to end with the same bits."""

    next_take_profit: int = 0
    next_entry: int = 0
    num_entries: int = 0
    num_opportunities: int = 0
    ideal: float = 0.0
    sums: Sums | None = None

    @classmethod
    def load(cls, folder: Path, num_blocks: int) -> "_State":
        """Read the last checkpoint, or begin."""
        path = folder / "partial.npz"
        if not path.is_file():
            return cls()
        with np.load(path, allow_pickle=False) as saved:
            numbers, ideal = saved["numbers"].tolist(), float(saved["ideal"])
            sums = Sums(saved["blocks"], saved["statistics"]) if saved["blocks"].shape[1:] == (num_blocks,) else None
        return cls(
            next_take_profit=numbers[0],
            next_entry=numbers[1],
            num_entries=numbers[2],
            num_opportunities=numbers[3],
            ideal=ideal,
            sums=sums,
        )

    def save(self, folder: Path) -> None:
        """Replace the checkpoint by one of this moment."""
        sums = self.sums or Sums(np.empty((0, 0)), np.empty((0, 0)))
        numbers = np.array([self.next_take_profit, self.next_entry, self.num_entries, self.num_opportunities])
        temporary = folder / ".partial.npz"
        with temporary.open("wb") as file:
            np.savez(file, numbers=numbers, ideal=self.ideal, blocks=sums.blocks, statistics=sums.statistics)
        temporary.replace(folder / "partial.npz")


def _write_rows(folder: Path, name: str, first: int, rows: Float64) -> None:
    """Write rows at their place; a file that is already longer keeps what lies behind."""
    path = folder / f"{name}.f8"
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(first * rows.shape[1] * 8)
        file.write(np.ascontiguousarray(rows).data)
        file.flush()
        if rows.nbytes >= 1 << 20:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _replace(path: Path, content: bytes) -> None:
    """Replace a scratch file at once; not forced to disk, as it can be computed again."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    temporary.replace(path)
