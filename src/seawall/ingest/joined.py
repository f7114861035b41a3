"""Several tables in one ingest: rows of other tables beside the rows of the first, by key or as of a publication lag.

All tables are scattered to buckets of the same entity ranges; a bucket of whole entities is joined in memory and
written on. Nothing is known before it was published: a fact counts from its time plus the lag on, never earlier.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seawall.arrays import AnyArray, Bool, Float64, Int64
from seawall.errors import BudgetError, DataError
from seawall.ingest.config import Adjustment, IngestConfig, JoinedTable, own_columns
from seawall.ingest.fields import merge_fields
from seawall.ingest.memory import JOIN_BUCKETS, JOIN_HELD_BYTES, join_bytes, join_row_bytes
from seawall.ingest.probe import estimate
from seawall.ingest.scatter import Scatter, split_points
from seawall.ingest.spans import span_of
from seawall.ingest.spill import Spill
from seawall.ingest.tables import opened_tables, time_format_of
from seawall.tables.clock import STEP
from seawall.tables.layout import PLAIN
from seawall.tables.parts import Part
from seawall.tables.sample import TableSample, sample_tables
from seawall.tables.table import Table
from seawall.tables.times import TimeFormat
from seawall.units import format_bytes

READ_BYTES = 1024 * 1024
"""Rows of a part looked at together."""

Pass = Callable[[IngestConfig, list[Table], Path, list[bytes], TimeFormat | None], tuple[Scatter, TimeFormat | None]]
"""The first pass over tables: into buckets by entity range, and the time format as it was proved."""


@dataclass(slots=True)
class Side:
    """A table that is joined, in its buckets."""

    spec: JoinedTable
    scatter: Scatter
    code_of_main: Int64
    num_matched: int = 0
    num_duplicates: int = 0


@dataclass(slots=True)
class Joined:
    """What the join gives to the ingest: one table in place of all, and what was counted on the way."""

    table: Table
    time_format: TimeFormat | None
    main: Scatter
    report: list[dict[str, Any]] = field(default_factory=list)


def join_tables(config: IngestConfig, tables: list[Table], sample: TableSample, work: Path, scatter: Pass) -> Joined:
    """Put the columns of the other tables beside the rows of the first ones.

    Rows out are the rows of the main tables, in order of entity and time; a row without a match has missing values
    there. Memory is one parsed block, then 4 MiB of rows of whole entities with their matches.

    Raises
    ------
    DataError
        Where no row matches at all, a key occurs twice and nothing says which one counts, or the kinds of time differ.
    BudgetError
        Where the rows of one entity are more than fits.
    """
    splits = split_points(sample.entities, JOIN_BUCKETS)
    main_config = _narrowed(config, own_columns(config))
    main, time_format = scatter(main_config, tables, _folder(work, "main"), splits, time_format_of(config, sample))
    sides = [_side(config, spec, number, splits, main, work, scatter) for number, spec in enumerate(config.tables)]
    path = work / "joined.arrow"
    _write(config, main, sides, path, join_bytes(config, estimate(config, sample)))
    for side in sides:
        if not side.num_matched:
            raise _no_match(config, side, main)
    report = [
        {"columns": list(side.spec.columns), "num_matched": side.num_matched, "duplicates": side.num_duplicates}
        for side in sides
    ]
    return Joined(Table(Part(path), PLAIN, config.entity, config.time), time_format, main, report)


def take_over(joined: Joined, scatter: Scatter) -> None:
    """Tell of the final pass what was counted while the sources were read."""
    tally = joined.main.tally
    scatter.tally.rows_read, scatter.tally.bad_rows = tally.rows_read, tally.bad_rows
    scatter.tally.first_bad, scatter.tally.disorder = tally.first_bad, tally.disorder
    scatter.joined = joined.report


def _folder(work: Path, name: str) -> Path:
    folder = work / name
    folder.mkdir(exist_ok=True)
    return folder


def _narrowed(config: IngestConfig, columns: Sequence[str]) -> IngestConfig:
    """Keep of a config what says how a table is read."""
    return config.model_copy(
        update={
            "values": tuple(columns), "prices": (), "adjustment": Adjustment(), "feature_sets": (), "features": {},
            "derived": {}, "targets": {}, "universe": None, "drop_rows": {}, "tables": (), "static": None,
            "weights": None, "dividends": None, "splits": None,
        }
    )  # fmt: skip


def _side(
    config: IngestConfig, spec: JoinedTable, number: int, splits: list[bytes], main: Scatter, work: Path, scatter: Pass
) -> Side:
    own = _narrowed(config, spec.columns).model_copy(
        update={
            "sources": spec.sources, "entity": spec.entity or config.entity, "time": spec.time or config.time,
            "time_format": spec.time_format, "timezone": spec.timezone or config.timezone, "layout": spec.layout,
        }
    )  # fmt: skip
    tables = opened_tables(own)
    found, _ = scatter(own, tables, _folder(work, f"side-{number}"), splits, time_format_of(own, sample_tables(tables)))
    if found.calendar_kind != main.calendar_kind:
        where = f"ingest.tables[{number}]"
        raise DataError(where, "another kind of time", found=found.calendar_kind, allowed=main.calendar_kind)
    codes = np.array([found.codes.get(name, -1) for name in main.codes] or [-1], np.int64)
    return Side(spec, found, codes)


def _write(config: IngestConfig, main: Scatter, sides: list[Side], path: Path, limit_bytes: int) -> None:
    """Join bucket after bucket into one Arrow file."""
    own = own_columns(config)
    kind = pa.int64() if main.calendar_kind == STEP else pa.timestamp("ns", tz="UTC")
    names = pa.array(list(main.codes), pa.string())
    columns = [*own, *(name for side in sides for name in side.spec.columns)]
    schema = pa.schema(
        [
            (config.entity, pa.dictionary(pa.int32(), pa.string())),
            (config.time, kind),
            *((name, pa.float64()) for name in columns),
        ]
    )
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for number in range(main.spill.num_parts):
            for codes in _groups(main, sides, number, join_row_bytes(config), limit_bytes):
                rows = _merged(config, main, _sorted_records(main.spill, number, codes))
                beside = [_matched(side, number, rows, codes) for side in sides]
                entity = pa.DictionaryArray.from_arrays(pa.array(rows["code"].astype(np.int32)), names)
                values = [rows["wide"][:, place] for place in range(len(own))]
                values += [block[:, place] for block in beside for place in range(block.shape[1])]
                times = pa.array(rows["time"]).cast(kind)
                arrays = [entity, times, *(pa.array(column, from_pandas=True) for column in values)]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def _groups(main: Scatter, sides: list[Side], number: int, row_bytes: int, limit_bytes: int) -> Iterator[Int64]:
    """Give the entities of a bucket in groups that fit together with their matches."""
    num_codes = len(main.codes)
    counts = _counts(main, num_codes)
    size = counts * row_bytes
    for side in sides:
        other = _counts(side.scatter, len(side.scatter.codes))
        size += np.where(side.code_of_main >= 0, other[side.code_of_main], 0)[:num_codes] * row_bytes
    codes = np.flatnonzero((main.part_of_codes() == number) & (counts > 0))
    group: list[int] = []
    held = 0
    for code in codes.tolist():
        if size[code] > limit_bytes:
            found, allowed = (
                f"{format_bytes(int(size[code]))} for {list(main.codes)[code]!r}",
                format_bytes(limit_bytes),
            )
            raise BudgetError(
                "ingest.tables", "the rows of one entity are too many to join", found=found, allowed=allowed
            )
        if group and held + size[code] > JOIN_HELD_BYTES:
            yield np.array(group)
            group, held = [], 0
        group.append(code)
        held += int(size[code])
    if group:
        yield np.array(group)


def _counts(scatter: Scatter, num_codes: int) -> Int64:
    counts = np.zeros(max(1, num_codes), np.int64)
    counts[: len(scatter.tally.rows_per_code)] = scatter.tally.rows_per_code
    return counts


def _sorted_records(spill: Spill, part: int, codes: Int64) -> AnyArray:
    """Read the rows of some entities from a part, 1 MiB at a time, sorted by entity, time and order of the source."""
    pieces = spill.read_slowly(part, max(1, READ_BYTES // spill.dtype.itemsize))
    rows = np.concatenate([np.empty(0, spill.dtype), *(piece[np.isin(piece["code"], codes)] for piece in pieces)])
    return rows[np.lexsort((rows["time"], rows["code"]))]


def _merged(config: IngestConfig, main: Scatter, rows: AnyArray) -> AnyArray:
    """Make one row of the fields of wide files."""
    if not config.layout.has_fields:
        return rows
    merged = merge_fields(rows, config.duplicates)
    if merged.num_twice and config.duplicates == "error":
        row = merged.records[merged.first_twice]
        raise DataError(
            "ingest",
            f"the key ({config.entity}, {config.time}) occurs twice",
            found=f"({list(main.codes)[int(row['code'])]!r}, {_shown(int(row['time']), main.calendar_kind)})",
            do="Remove the duplicates, or declare duplicates: first or last.",
        )
    return merged.records


def _matched(side: Side, number: int, rows: AnyArray, codes: Int64) -> Float64:
    """Give the values of a side table for each row, NaN where there is no match."""
    spec, wanted = side.spec, side.code_of_main[codes]
    facts = _sorted_records(side.scatter.spill, number, wanted[wanted >= 0])
    facts = _resolved(side, facts)
    owner = side.code_of_main[rows["code"]]
    at, known = _known_at(spec, rows, side.scatter.calendar_kind)
    last = _last_at_or_before(facts, owner, at)
    fits = known & (last >= 0)
    place = np.maximum(last, 0)
    if len(facts):
        fits &= facts["code"][place] == owner
        age = at - facts["time"][place]
        if spec.how == "key":
            fits &= age == 0
        elif spec.tolerance is not None:
            fits &= age <= span_of(spec.tolerance, side.scatter.calendar_kind, "ingest.tables: tolerance")
    out: Float64 = np.full((len(rows), len(spec.columns)), np.nan)
    out[fits] = facts["wide"][place[fits]] if len(facts) else np.nan
    side.num_matched += int(fits.sum())
    return out


def _known_at(spec: JoinedTable, rows: AnyArray, kind: str) -> tuple[Int64, Bool]:
    """Tell for each row which moment facts may be known from: its own time less the lag."""
    times: Int64 = rows["time"].astype(np.int64)
    if spec.how == "key":
        return times, np.ones(len(rows), bool)
    if spec.lag_periods is None:
        return times - span_of(spec.lag or "0", kind, "ingest.tables: lag"), np.ones(len(rows), bool)
    back = np.arange(len(rows)) - spec.lag_periods
    known = (back >= 0) & (rows["code"][np.maximum(back, 0)] == rows["code"])
    return times[np.maximum(back, 0)], known


def _resolved(side: Side, facts: AnyArray) -> AnyArray:
    """Make one row a key, as its ``duplicates`` say."""
    if side.spec.layout.has_fields:
        merged = merge_fields(facts, side.spec.duplicates)
        kept, num_twice = merged.records, merged.num_twice
        first = kept[merged.first_twice :]
    else:
        same = (facts["code"][1:] == facts["code"][:-1]) & (facts["time"][1:] == facts["time"][:-1])
        num_twice, first = int(same.sum()), facts[:-1][same]
        is_last = side.spec.duplicates == "last"
        kept = facts[np.append(~same, True) if is_last else np.append(True, ~same)] if num_twice else facts
    if num_twice and side.spec.duplicates == "error":
        name = list(side.scatter.codes)[int(first["code"][0])]
        raise DataError(
            "ingest.tables",
            f"a key of the table with {side.spec.columns[0]!r} occurs twice",
            found=f"{name!r}, {_shown(int(first['time'][0]), side.scatter.calendar_kind)}",
            do="Remove the duplicates, or declare its duplicates: first or last.",
        )
    side.num_duplicates += num_twice
    return kept


def _last_at_or_before(facts: AnyArray, owner: Int64, at: Int64) -> Int64:
    """Find for each (entity, time) the last fact in order that is not after it; -1 where there is none."""
    code = np.concatenate([facts["code"].astype(np.int64), owner])
    time = np.concatenate([facts["time"], at])
    is_row = np.arange(len(code)) >= len(facts)
    order = np.lexsort((is_row, time, code))
    before = np.cumsum(~is_row[order]) - 1
    last = np.empty(len(code), np.int64)
    last[order] = before
    return last[len(facts) :]


def _shown(time: int, kind: str) -> str:
    return str(time) if kind == STEP else str(np.datetime64(time, "ns").astype("datetime64[s]"))


def _no_match(config: IngestConfig, side: Side, main: Scatter) -> DataError:
    there, here = next(iter(side.scatter.codes), "nothing"), next(iter(main.codes), "nothing")
    kind = main.calendar_kind
    times = [
        _shown(int(scatter.tally.calendar[0]), kind) for scatter in (side.scatter, main) if len(scatter.tally.calendar)
    ]
    return DataError(
        "ingest.tables",
        f"no row matches the table with {side.spec.columns[0]!r}",
        found=f"({there!r}, {times[0]}) first there and ({here!r}, {times[-1]}) first here",
        do=f"Check that {config.entity} and {config.time} are written alike, and the lag.",
    )
