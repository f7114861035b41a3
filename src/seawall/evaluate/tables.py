"""Judge predictions of anybody: a table of scores with its target, or with a second table of returns."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from seawall.arrays import Float64, Int64
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import BudgetError, ConfigError
from seawall.evaluate.config import EvaluateConfig, TablesConfig
from seawall.evaluate.daily import Beside, DailyTable
from seawall.evaluate.groups import NO_GROUPS, Groups
from seawall.evaluate.memory import SUMMARY_DATE_BYTES
from seawall.evaluate.record import headline, judged_record
from seawall.metrics import PointwiseMoments
from seawall.stores.atomic import write_json
from seawall.tables.kept import kept_or_spilled
from seawall.tables.keyed import (
    KeyedSource,
    KeyedTable,
    choose_column,
    require_comparable,
    require_unique,
    shown_time,
)
from seawall.tables.keys import EntityCodes
from seawall.tables.matching import Matcher
from seawall.tables.names import ENTITY_NAMES, PREDICTION_NAMES, RETURN_NAMES, TIME_NAMES
from seawall.tables.runs import SortedRows, repeated, without_duplicates
from seawall.tables.sources import expand
from seawall.units import format_bytes


class Block(NamedTuple):
    """Whole dates in order, one entry a row; prediction and target are float64, NaN where missing."""

    times: Int64
    names: Int64
    folds: Int64
    predictions: Float64
    targets: Float64
    labels: Int64
    """Number of the label of each row; all 0 without groups."""


def evaluate_tables(
    config: TablesConfig,
    output: Path | None,
    work: Path,
    *,
    buffer_rows: int,
    max_dates: int = 100_000,
    beat: Beat = silent,
) -> dict[str, Any]:
    """Judge outside predictions, streamed date by date: exact errors, IC and Rank IC, quantiles.

    Both tables may be in any order; each is read once and sorted on disk. Memory is one block of the reader, the row
    buffer, a few blocks of whole dates and, when the buffer is done with, some numbers a date. A date's numbers depend
    on that date alone.

    Parameters
    ----------
    output
        Folder for ``metrics.json`` and ``daily.parquet`` (FORMAT.md section 5); None writes nothing.
    work
        Folder for the sorted runs, on a real disk; removed at the end. What a killed command has left there is used
        again.
    buffer_rows
        Rows sorted at once; changes no result.
    max_dates
        Most dates whose numbers may be summarised in the memory of those rows.

    Returns
    -------
    dict
        What ``metrics.json`` holds, and the columns that were judged.

    Raises
    ------
    ConfigError, DataError
        For unknown columns, rows that cannot be used, repeated keys, keys that do not meet.
    BudgetError
        For more dates than ``max_dates``.
    """
    codes = EntityCodes()
    chosen = sources(config)
    tables = [kept_or_spilled(source, codes, work / source.name, buffer_rows, beat) for source in chosen]
    if len(tables) == 2:
        require_comparable(tables[0], tables[1], codes)
    kind = tables[0].times.kind
    groups = Groups.of_column(tables[0].labels) if config.group else NO_GROUPS
    has_sums = config.horizon_periods == 1
    beside = Beside(config.decay_horizons if has_sums else (), groups, sums=has_sums)
    daily = DailyTable(_judging(config), work / "daily.rows", is_dated=kind == "timestamp", beside=beside)
    pooled, counts = dict[int, PointwiseMoments](), _Counts()
    for block in _blocks(tables, codes, config, counts):
        _judge(block, daily, pooled, groups)
        beat("dates", counts.num_rows, tables[0].num_rows)
        _require_room(daily.num_dates, max_dates, counts.num_rows / max(1, tables[0].num_rows))
    target = chosen[-1].values[0] if len(tables) == 2 else chosen[0].values[1]
    kind_of_target = "forward_return" if len(tables) == 2 else ""
    record = judged_record(target, config.horizon_periods, _judging(config), daily, pooled, kind=kind_of_target)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        zone = "UTC" if tables[0].times.has_offsets else None
        daily.write(output / "daily.parquet", pa.int64() if kind == "step" else pa.timestamp("ns", tz=zone))
        write_json(output / "metrics.json", record)
    shutil.rmtree(work, ignore_errors=True)
    return {
        **headline(record),
        **record,
        "prediction": chosen[0].values[0],
        "entity": chosen[0].entity,
        "time": chosen[0].time,
        "num_predictions": counts.num_rows,
        "num_without_target": counts.num_without_target,
        "repeated_predictions": counts.num_left_repeated,
        "repeated_returns": counts.num_right_repeated,
        "first_time": shown_time(tables[0].first_time, kind),
        "last_time": shown_time(tables[0].last_time, kind),
    }


def _require_room(num_dates: int, max_dates: int, share_read: float) -> None:
    """Refuse to summarise more dates than there is memory for, as soon as they are seen; rows come in order of time.

    What is to be given covers all dates at the rate of those read, twice: the row buffer grows by doubling.
    """
    if num_dates > max_dates:
        expected = max(num_dates, round(num_dates / share_read))
        missing_bytes = 2 * (expected - max_dates) * SUMMARY_DATE_BYTES
        raise BudgetError(
            "evaluate",
            f"about {expected:,} dates need {format_bytes(expected * SUMMARY_DATE_BYTES)} to be summarised",
            found=f"room for {max_dates:,}",
            do=f"Give {format_bytes(missing_bytes)} more with --memory.",
        )


class _Counts:
    def __init__(self) -> None:
        self.num_rows = 0
        self.num_without_target = 0
        self.num_left_repeated = 0
        self.num_right_repeated = 0

    def add(self, block: Block) -> None:
        self.num_rows += len(block.times)
        self.num_without_target += int(np.isnan(block.targets).sum())


def sources(config: TablesConfig) -> tuple[KeyedSource, ...]:
    """Name files and columns: one table that has the target itself, or two."""
    files = tuple(expand(config.predictions))
    entity = choose_column(files, config.entity, ENTITY_NAMES, (), "entity")
    time = choose_column(files, config.time, TIME_NAMES, (), "time")
    keys = (entity, time)
    avoided = (*keys, *((config.target,) if config.target else ()))
    prediction = choose_column(files, config.prediction, PREDICTION_NAMES, avoided, "prediction")
    from seawall.tables.read import column_names

    fold = ("fold",) if all("fold" in column_names(file) for file in files) and prediction != "fold" else ()
    label = choose_column(files, config.group, (), keys, "group") if config.group else None
    if label in (*keys, prediction, *fold):
        raise ConfigError("evaluate --group", "has another part already", found=repr(label), do="Name another column.")
    if not config.returns:
        target = choose_column(files, config.target, RETURN_NAMES, (*keys, prediction), "target")
        return (KeyedSource("predictions", files, *keys, (prediction, target, *fold), config.time_format, label),)
    others = tuple(expand(config.returns))
    other_keys = (config.returns_entity or entity, config.returns_time or time)
    column = choose_column(others, config.return_column, RETURN_NAMES, other_keys, "return")
    return (
        KeyedSource("predictions", files, *keys, (prediction, *fold), config.time_format, label),
        KeyedSource("returns", others, *other_keys, (column,), config.returns_time_format),
    )


def _judging(config: TablesConfig) -> EvaluateConfig:
    names = ("min_names", "num_quantiles", "decay_lags", "group")
    return EvaluateConfig(**{name: getattr(config, name) for name in names})


def _blocks(tables: list[KeyedTable], codes: EntityCodes, config: TablesConfig, counts: _Counts) -> Iterator[Block]:
    """Give whole dates in order, with the target of each row."""
    if len(tables) == 2:
        matcher = Matcher(tables[0], tables[1], codes, config.prediction_duplicates, config.duplicates)
        for matched in matcher:
            block = _block(matched.rows, matched.right[:, 0], tables[0].source)
            counts.add(block)
            yield block
        counts.num_left_repeated, counts.num_right_repeated = matcher.num_left_repeated, matcher.num_right_repeated
        return
    with tables[0].open(codes) as reader:
        for taken in reader:
            if config.prediction_duplicates == "error":
                require_unique(taken, repeated(taken), tables[0], codes)
            rows, num_repeated = without_duplicates(taken, config.prediction_duplicates)
            counts.num_left_repeated += num_repeated
            block = _block(rows, rows.values[:, 1], tables[0].source)
            counts.add(block)
            yield block


def _block(rows: SortedRows, targets: Float64, source: KeyedSource) -> Block:
    """Name the values of the rows of the predictions."""
    num_rows = len(rows)
    folds = rows.values[:, source.values.index("fold")] if "fold" in source.values[1:] else np.zeros(num_rows)
    labels = rows.values[:, -1] if source.label else np.zeros(num_rows)
    keys = (rows.times, rows.ranks, folds.astype(np.int64))
    return Block(*keys, rows.values[:, 0], targets, labels.astype(np.int64))


def _judge(block: Block, daily: DailyTable, pooled: dict[int, PointwiseMoments], groups: Groups) -> None:
    starts = np.flatnonzero(np.diff(block.times, prepend=block.times[0] - 1))
    for start, end in zip(starts, [*starts[1:], len(block.times)], strict=True):
        fold = int(block.folds[start])
        predictions, targets = block.predictions[start:end], block.targets[start:end]
        time, of_names = int(block.times[start]), groups(block.labels[start:end])
        daily.append(time, fold, block.names[start:end], predictions, targets, groups=of_names)
        pooled.setdefault(fold, PointwiseMoments()).update(predictions, targets)
