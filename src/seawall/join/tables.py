"""Join predictions of anybody with returns of anybody: both brought into order of time once, then merged by date."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Bool, Int64
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import ConfigError
from seawall.join.config import TablesConfig
from seawall.stores.atomic import DirtyWindow, replacing
from seawall.tables.kept import kept_or_spilled
from seawall.tables.keyed import KeyedSource, KeyedTable, choose_column, require_comparable, shown_time
from seawall.tables.keys import EntityCodes
from seawall.tables.matching import MatchedRows, Matcher
from seawall.tables.names import PREDICTION_NAMES, RETURN_NAMES
from seawall.tables.sources import expand

ROW_GROUP_ROWS = 65_536

PERCENT_SIZE = 0.5
PERCENT_SHARE = 0.2
"""Returns are taken to be in percent where more than a fifth of them move by more than half: fractions never do."""


def join_tables(
    config: TablesConfig, output: Path, work: Path, *, buffer_rows: int, beat: Beat = silent
) -> dict[str, Any]:
    """Left join of predictions with a returns table, both in any order, row count unchanged.

    Writes one Parquet file sorted by (time, entity): ``time``, ``entity``, ``fold`` where the predictions have it,
    ``prediction``, ``forward_return`` (float64, null where there is none) and the carried columns. Memory is one block
    of the reader, the sort buffer and a few blocks of whole dates, whatever the number of rows; disk beside the output
    is 12 + 8 V bytes a row of each side while it runs.

    Parameters
    ----------
    work
        Folder for the sorted runs, on a real disk; removed at the end. What a killed command has left there is used
        again.
    buffer_rows
        Rows sorted at once; changes no result.

    Returns
    -------
    dict
        Rows, matches, coverage by fold and month, what was left out, and ``warnings`` in words.

    Raises
    ------
    ConfigError, DataError
        For unknown columns, rows that cannot be used, repeated keys, keys that do not meet; the output is untouched.
    """
    codes = EntityCodes()
    left_source, right_source = sources(config)
    left = kept_or_spilled(left_source, codes, work / "predictions", buffer_rows, beat)
    right = kept_or_spilled(right_source, codes, work / "returns", buffer_rows, beat)
    require_comparable(left, right, codes)
    matcher = Matcher(left, right, codes, config.prediction_duplicates, config.duplicates)
    tally = _Tally(left)
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as temporary:
        _write(temporary, matcher, _Table(left, right, codes), tally, beat)
    shutil.rmtree(work, ignore_errors=True)
    return {
        **tally.record(),
        "return_column": right_source.values[0],
        "prediction_column": left_source.values[0],
        "repeated_predictions": matcher.num_left_repeated,
        "repeated_returns": matcher.num_right_repeated,
        "output": str(output),
    }


def sources(config: TablesConfig) -> tuple[KeyedSource, KeyedSource]:
    """Name files and columns of both sides."""
    predictions, returns = (tuple(expand(paths)) for paths in (config.predictions, config.returns))
    keys = (config.entity, config.time)
    other_keys = (config.returns_entity or config.entity, config.returns_time or config.time)
    prediction = choose_column(predictions, config.prediction, PREDICTION_NAMES, keys, "prediction")
    column = choose_column(returns, config.return_column, RETURN_NAMES, other_keys, "return")
    carried = tuple(name for name in config.columns if name != column)
    taken = {"time", "entity", "fold", "prediction", "forward_return"} & set(carried)
    if taken:
        raise ConfigError("columns", "the table has a column of this name already", found=repr(min(taken)))
    from seawall.tables.read import column_names

    has_fold = all("fold" in column_names(file) for file in predictions)
    values = (prediction, "fold") if has_fold and prediction != "fold" else (prediction,)
    return (
        KeyedSource("predictions", predictions, *keys, values, config.time_format),
        KeyedSource("returns", returns, *other_keys, (column, *carried), config.returns_time_format),
    )


class _Table:
    """Turn matched rows into Arrow tables; holds the entity names and nothing of the rows."""

    def __init__(self, left: KeyedTable, right: KeyedTable, codes: EntityCodes) -> None:
        is_step = left.times.kind == "step"
        zone = "UTC" if left.times.has_offsets else None
        self._time_type = pa.int64() if is_step else pa.timestamp("ns", tz=zone)
        self._names = pa.array(sorted(codes.names, key=str.encode), pa.string())
        self._has_fold = len(left.source.values) > 1
        fields = [("time", self._time_type), ("entity", pa.dictionary(pa.int32(), pa.string()))]
        fields += [("fold", pa.int32())] if self._has_fold else []
        numbers = ("prediction", "forward_return", *right.source.values[1:])
        self.schema = pa.schema([*fields, *((name, pa.float64()) for name in numbers)])

    def build(self, block: MatchedRows) -> pa.Table:
        rows = block.rows
        times = pa.array(rows.times)
        columns = [times if self._time_type == pa.int64() else times.cast(self._time_type)]
        columns.append(pa.DictionaryArray.from_arrays(pa.array(rows.ranks.astype(np.int32)), self._names))
        if self._has_fold:
            columns.append(pa.array(rows.values[:, 1]).cast(pa.int32()))
        numbers = [rows.values[:, 0], *block.right.T]
        columns += [pa.array(np.ascontiguousarray(values), mask=np.isnan(values)) for values in numbers]
        return pa.Table.from_arrays(columns, schema=self.schema)


def _write(path: Path, matcher: Matcher, table: _Table, tally: "_Tally", beat: Beat) -> None:
    window = DirtyWindow(path)
    with pq.ParquetWriter(path, table.schema, compression="zstd", use_dictionary=["entity"]) as writer:
        for group in _row_groups(table.build(block) for block in _counted(matcher, tally, beat)):
            writer.write_table(group)
            window.note()


def _counted(matcher: Matcher, tally: "_Tally", beat: Beat) -> Iterator[MatchedRows]:
    for block in matcher:
        tally.add(block)
        beat("join", tally.num_rows, tally.num_expected)
        yield block


def _row_groups(blocks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cut blocks of any size into row groups of one size: the file must not depend on the memory at hand."""
    held: list[pa.Table] = []
    for block in blocks:
        held.append(block)
        if sum(part.num_rows for part in held) < ROW_GROUP_ROWS:
            continue
        whole = pa.concat_tables(held)
        end = whole.num_rows - whole.num_rows % ROW_GROUP_ROWS
        yield from (whole.slice(start, ROW_GROUP_ROWS) for start in range(0, end, ROW_GROUP_ROWS))
        held = [whole.slice(end)]
    yield from (part.combine_chunks() for part in [pa.concat_tables(held)] if part.num_rows)


class _Tally:
    """Count rows and matches per fold and month while the join streams; memory is a few numbers per month."""

    def __init__(self, left: KeyedTable) -> None:
        self.num_rows = 0
        self.num_expected = left.num_rows
        self._kind = left.times.kind
        self._has_fold = len(left.source.values) > 1
        self._folds: dict[int, Int64] = {}
        self._months: dict[str, Int64] = {}
        self._num_found, self._num_matched, self._num_large = 0, 0, 0
        self._span = (left.first_time, left.last_time)

    def add(self, block: MatchedRows) -> None:
        defined = block.matched & ~np.isnan(block.right[:, 0])
        self.num_rows += len(block.rows)
        self._num_found += int(block.matched.sum())
        self._num_matched += int(defined.sum())
        self._num_large += int((np.abs(block.right[defined, 0]) > PERCENT_SIZE).sum())
        if self._kind != "step":
            months = block.rows.times.astype("datetime64[ns]").astype("datetime64[M]")
            _count(self._months, months, defined)
        if self._has_fold:
            _count(self._folds, block.rows.values[:, 1].astype(np.int64), defined)

    def record(self) -> dict[str, Any]:
        return {
            "num_rows": self.num_rows,
            "num_matched": self._num_matched,
            "num_keys_not_found": self.num_rows - self._num_found,
            "share": self._num_matched / self.num_rows if self.num_rows else None,
            "first_time": shown_time(self._span[0], self._kind),
            "last_time": shown_time(self._span[1], self._kind),
            "folds": [{"fold": fold, **_counts(counts)} for fold, counts in sorted(self._folds.items())],
            "months": [{"month": month, **_counts(counts)} for month, counts in sorted(self._months.items())],
            "warnings": self._warnings(),
        }

    def _warnings(self) -> list[str]:
        if not self._num_matched or self._num_large < PERCENT_SHARE * self._num_matched:
            return []
        share = self._num_large / self._num_matched
        found = f"{share:.0%} of the returns move by more than {PERCENT_SIZE:.0%}"
        return [f"{found}: are they in percent? A backtest takes fractions, where 0.01 is one percent."]


def _count(counts: dict[Any, Int64], labels: Any, defined: Bool) -> None:  # noqa: ANN401 - months or folds
    distinct, place = np.unique(labels, return_inverse=True)
    rows, matched = np.bincount(place), np.bincount(place[defined], minlength=len(distinct))
    for at, label in enumerate(distinct.tolist() if distinct.dtype.kind == "i" else map(str, distinct)):
        counts.setdefault(label, np.zeros(2, np.int64))
        counts[label] += (rows[at], matched[at])


def _counts(counts: Int64) -> dict[str, Any]:
    rows, matched = int(counts[0]), int(counts[1])
    return {"num_rows": rows, "num_matched": matched, "share": matched / rows if rows else None}
