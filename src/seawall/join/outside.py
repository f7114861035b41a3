"""Predictions of anybody become the prediction store of a run: matched to rows of the panel, in order of time."""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seawall.arrays import AnyArray, Float64, Int64
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import ConfigError, DataError
from seawall.join.config import PredictionsConfig
from seawall.stores.panel import Panel
from seawall.stores.predictions import write_fold
from seawall.tables.keyed import KeyedSource, KeyedTable, choose_column, require_unique, shown_time, spill
from seawall.tables.keys import EntityCodes
from seawall.tables.names import PREDICTION_NAMES
from seawall.tables.runs import SortedRows, repeated, without_duplicates
from seawall.tables.sources import expand

REASONS = ("entity not in the panel", "time not in the panel", "no such row", "outside the universe", "no score")
"""Why a score is left out, in the order in which they are looked for."""


def source_of(config: PredictionsConfig) -> KeyedSource:
    """Name files and columns of the scores.

    Raises
    ------
    ConfigError
        Where there is no file, or the column of scores cannot be told.
    """
    files = tuple(expand(config.paths))
    keys = (config.entity, config.time)
    prediction = choose_column(files, config.prediction, PREDICTION_NAMES, keys, "prediction")
    return KeyedSource("predictions", files, *keys, (prediction,), config.time_format)


def import_predictions(
    panel: Path, config: PredictionsConfig, output: Path, work: Path, *, buffer_rows: int, beat: Beat = silent
) -> dict[str, Any]:
    """Match scores to rows of the panel by (time, entity) and write them as the one fold of a prediction store.

    The tables are read once, in any order, and left on disk in order of time; then each date's scores meet the rows of
    that date. A score that meets no row, or a row outside the universe, is left out and counted by reason. Scores
    become float32. Memory is one block of the reader, the sort buffer, a few blocks of whole dates and the entity
    names; disk in ``work`` is 32 bytes a score while it runs.

    Parameters
    ----------
    output
        The ``predictions/`` folder of a run.
    work
        Folder on a real disk; removed at the end.
    buffer_rows
        Scores sorted at once; changes no result.

    Returns
    -------
    dict
        ``num_rows``, ``num_read``, ``unmatched`` by reason, ``num_repeated``, the columns and the target.

    Raises
    ------
    ConfigError
        For unknown columns, or a panel without a target.
    DataError
        For rows that cannot be used, repeated keys under ``error``, kinds of time that cannot meet, or where nothing
        meets the panel, with examples of both sides. What was there before is untouched.
    """
    opened = Panel(panel)
    opened.advise_random("universe")
    target = _target(opened, config.target)
    shutil.rmtree(work, ignore_errors=True)
    codes = EntityCodes()
    codes.encode(pa.array(opened.entities, pa.string()))
    table = spill(source_of(config), codes, work / "runs", buffer_rows, beat)
    if table.times.kind != opened.calendar_kind:
        do = "Write times as the sources of the panel did."
        found, allowed = f"{table.times.kind} ({table.times.examples[0]})", opened.calendar_kind
        raise DataError("predictions", "times of another kind than the panel's", found=found, allowed=allowed, do=do)
    matched = _Matched(opened, table, codes, config)
    matched.write(work, beat)
    _require_some(opened, table, codes, matched)
    manifest = _publish(opened, target, work, output, text_of(config))
    shutil.rmtree(work, ignore_errors=True)
    return {
        "num_rows": manifest["num_rows"],
        "num_read": table.num_rows,
        "num_repeated": matched.num_repeated,
        "unmatched": {reason: matched.unmatched[reason] for reason in REASONS},
        "prediction_column": table.source.values[0],
        "target": target,
        "first_time": shown_time(table.first_time, table.times.kind),
        "last_time": shown_time(table.last_time, table.times.kind),
    }


def text_of(config: PredictionsConfig) -> str:
    """Name where scores came from, in place of the key of a model."""
    return "outside: " + ", ".join(config.paths)


def _target(panel: Panel, wanted: str | None) -> str:
    names = panel.names("targets")
    if not names:
        raise ConfigError(
            "predictions.target",
            "the panel has no target to judge scores by",
            do="Add one to ingest.targets, such as a forward_return of the price you trade at.",
        )
    return names[panel.column_index("targets", wanted)] if wanted is not None else names[0]


@dataclass(slots=True)
class _Matched:
    """Scores on their way to rows of the panel."""

    panel: Panel
    table: KeyedTable
    codes: EntityCodes
    config: PredictionsConfig
    num_rows: int = 0
    num_repeated: int = 0
    unmatched: Counter[str] = field(default_factory=Counter)

    def write(self, work: Path, beat: Beat) -> None:
        """Write row ids and scores of all dates, in order of (time, entity), into two plain files."""
        with (work / "row.i8").open("wb") as rows, (work / "score.f4").open("wb") as scores:
            for row_ids, values in self._dates():
                rows.write(row_ids.tobytes())
                scores.write(values.astype(np.float32).tobytes())
                self.num_rows += len(row_ids)
                beat("match predictions", self.num_rows, self.table.num_rows)

    def _dates(self) -> Iterator[tuple[Int64, Float64]]:
        code_of_rank = np.argsort(self.codes.ranks())
        with self.table.open(self.codes) as reader:
            for block in reader:
                rows = self._unique(block)
                entities = code_of_rank[rows.ranks]
                cuts = np.flatnonzero(np.diff(rows.times)) + 1
                bounds = [0, *cuts.tolist(), len(rows)]
                for start, stop in pairwise(bounds):
                    found = self._of_date(int(rows.times[start]), entities[start:stop], rows.values[start:stop, 0])
                    if found is not None:
                        yield found

    def _unique(self, rows: SortedRows) -> SortedRows:
        if self.config.duplicates == "error":
            require_unique(rows, repeated(rows), self.table, self.codes)
            return rows
        rows, num_repeated = without_duplicates(rows, self.config.duplicates)
        self.num_repeated += num_repeated
        return rows

    def _of_date(self, time: int, entities: Int64, scores: Float64) -> tuple[Int64, Float64] | None:
        known = entities < self.panel.shape.num_entities
        self._leave(REASONS[0], ~known)
        entities, scores = entities[known], scores[known]
        date = int(np.searchsorted(self.panel.calendar, time))
        if date == len(self.panel.calendar) or self.panel.calendar[date] != time:
            self.unmatched[REASONS[1]] += len(entities)
            return None
        bounds = self.panel.time_offsets
        of_date: Int64 = np.asarray(self.panel.by_time[bounds[date] : bounds[date + 1]])
        if not len(of_date):
            self.unmatched[REASONS[2]] += len(entities)
            return None
        present = self.panel.entity_of(of_date)
        place = np.minimum(np.searchsorted(present, entities), len(present) - 1)
        here = present[place] == entities
        self._leave(REASONS[2], ~here)
        rows, scores = of_date[place[here]], scores[here]
        inside = np.asarray(self.panel.universe[rows], bool)
        self._leave(REASONS[3], ~inside)
        scored = np.isfinite(scores)
        self._leave(REASONS[4], inside & ~scored)
        kept = inside & scored
        # Rows, not names, must ascend: it is the order every reader of the store proves.
        order = np.argsort(rows[kept], kind="stable")
        return rows[kept][order], scores[kept][order]

    def _leave(self, reason: str, left: AnyArray) -> None:
        self.unmatched[reason] += int(np.count_nonzero(left))


def _require_some(panel: Panel, table: KeyedTable, codes: EntityCodes, matched: _Matched) -> None:
    if matched.num_rows:
        return
    calendar = panel.calendar
    ends = [shown_time(int(time), panel.calendar_kind) for time in (calendar[0], calendar[-1])]
    first, last = (shown_time(time, table.times.kind) for time in (table.first_time, table.last_time))
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in matched.unmatched.items() if count)
    theirs, ours = ", ".join(map(repr, table.entity_examples(codes))), ", ".join(map(repr, panel.entities[:3]))
    raise DataError(
        f"predictions {table.source.files[0]}",
        "no score meets a row of the panel",
        found=f"{reasons}; scores of {theirs} from {first} to {last}",
        allowed=f"{ours} from {ends[0]} to {ends[1]}",
        do="Write entities and times as the sources of the panel did.",
    )


def _publish(panel: Panel, target: str, work: Path, output: Path, origin: str) -> dict[str, Any]:
    rows = np.memmap(work / "row.i8", np.int64, "r")
    scores = np.memmap(work / "score.f4", np.float32, "r")
    path = output / "fold_00.parquet"
    return write_fold(path, panel, fold=0, rows=rows, predictions=scores, target=target, model_key=origin)
