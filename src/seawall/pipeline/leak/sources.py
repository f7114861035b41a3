"""Ingest again with another future: features, universe and known targets from before it must not move."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import AnyArray, Float64, Int64
from seawall.budget.environment import give_back_free_memory
from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError, DataError
from seawall.ingest.config import IngestConfig
from seawall.ingest.lookahead import check_expressions
from seawall.ingest.recipe import raw_config
from seawall.ingest.run import ingest
from seawall.pipeline.leak.copies import BLOCK_ROWS
from seawall.pipeline.leak.verdict import Check, judged, not_run
from seawall.stores.panel import Panel
from seawall.tables.layout import Layout

NAME = "sources"

CUT_SHARE = 0.6
"""Of the calendar: what lies behind is the past that must not move."""

TOLERANCE = 1e-4
"""Of a column's spread. Running sums round otherwise when later rows differ, by less than 1e-6 of it."""

LOOKS_AHEAD = ("looks ahead", "reads other entities", "reads other rows", "at other entities")


def check_sources(config: IngestConfig, panel: Path, work: Path, *, budget_bytes: int, beat: Beat) -> Check:
    """Read the sources once as they are, then compute all columns from them with two other futures.

    One future has every number from 60 % of the calendar on changed, the other has no rows there. Compared are the
    panel there is and those two, before the cut. Memory is that of ingest and one block of rows; disk three copies.
    """
    try:
        check_expressions(config)
        if not (panel / "panel.json").is_file():
            ingest(config, work / "base.panel", budget_bytes=budget_bytes, beat=beat)
            panel = work / "base.panel"
        ingest(raw_config(config), work / "raw.panel", budget_bytes=budget_bytes, beat=beat)
        base, raw, leaks = Panel(panel), Panel(work / "raw.panel"), list[str]()
        cut = max(1, int(CUT_SHARE * base.shape.num_dates))
        for how in ("changed", "removed"):
            path = work / f"{how}.parquet"
            _write_rows(raw, path, int(base.calendar[cut]), config, is_changed=how == "changed")
            again = _on_rows(config, path, raw.calendar_kind)
            give_back_free_memory()
            ingest(again, work / f"{how}.panel", budget_bytes=budget_bytes, beat=beat)
            leaks += _moved(base, Panel(work / f"{how}.panel"), cut, how)
    except (ConfigError, DataError) as error:
        if any(words in error.what for words in LOOKS_AHEAD):
            return judged(NAME, "", leaks=[str(error)])
        return not_run(NAME, f"the sources cannot be ingested again: {error}")
    when = base.times_as_datetime()[cut]
    return judged(NAME, f"nothing before {when} moves when what follows is changed or removed", leaks=leaks)


def _on_rows(config: IngestConfig, path: Path, kind: str) -> IngestConfig:
    """Give the config that computes the same columns from rows already read."""
    changes = {
        "sources": (str(path),),
        "tables": (),
        "layout": Layout(),
        "drop_rows": {},
        "duplicates": "error",
        "max_bad_rows": 0,
        "time_format": "step" if kind == "step" else None,
        "timezone": None,
    }
    return config.model_copy(update=changes)


def _write_rows(raw: Panel, path: Path, cut_time: int, config: IngestConfig, *, is_changed: bool) -> None:
    """Write rows as read, with later numbers changed or later rows left out."""
    names, draw = raw.names("prices"), np.random.default_rng(0)
    time_type = pa.timestamp("ns") if raw.calendar_kind == "timestamp" else pa.int64()
    fields = [(config.entity, pa.string()), (config.time, time_type), *((name, pa.float64()) for name in names)]
    entities = pa.array(raw.entities, pa.string())
    with pq.ParquetWriter(path, pa.schema(fields)) as writer:
        for start in range(0, raw.shape.num_rows, BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, raw.shape.num_rows))
            times = raw.calendar[raw.time_index[rows]]
            rows = rows if is_changed else rows[times < cut_time]
            times = raw.calendar[raw.time_index[rows]]
            values: Float64 = np.array(raw.prices[rows]).reshape(len(rows), len(names))
            later = times >= cut_time
            values[later] *= np.exp(draw.normal(0.0, 0.7, values[later].shape))
            columns = [entities.take(pa.array(raw.entity_of(rows))), pa.array(times).cast(time_type)]
            columns += [pa.array(column, mask=np.isnan(column)) for column in values.T]
            writer.write_table(pa.Table.from_arrays(columns, schema=pa.schema(fields)))


def _moved(base: Panel, other: Panel, cut: int, how: str) -> Iterator[str]:
    """Compare, entity by entity, rows before the cut and the targets known before it."""
    places = {name: number for number, name in enumerate(other.entities)}
    moved: dict[str, tuple[int, str]] = {}
    for number, name in enumerate(base.entities):
        rows = _rows_before(base, number, int(base.calendar[cut]))
        if not len(rows):
            continue
        others = _rows_before(other, places[name], int(base.calendar[cut])) if name in places else rows[:0]
        same_times = len(rows) == len(others) and np.array_equal(_times(base, rows), _times(other, others))
        if not same_times:
            moved.setdefault("rows", (0, ""))
            moved["rows"] = (moved["rows"][0] + 1, moved["rows"][1] or name)
            continue
        for column, first in _moved_columns(base, other, rows, others, cut):
            count, shown = moved.get(column, (0, ""))
            moved[column] = (count + 1, shown or f"{name} at {base.times_as_datetime()[base.time_index[first]]}")
    for column, (count, shown) in moved.items():
        yield f"{column} of {count:,} entities moves with later rows {how}, first {shown}"


def _moved_columns(base: Panel, other: Panel, rows: Int64, others: Int64, cut: int) -> Iterator[tuple[str, int]]:
    """Compare columns by name: a store made earlier may hold them in another order."""
    features, old, new = other.names("features"), base.features[rows], other.features[others]
    for number, name in enumerate(base.names("features")):
        if name in features:
            differ = _differ(old[:, number], new[:, features.index(name)])
            if differ.any():
                yield f"feature {name}", int(rows[np.argmax(differ)])
    differ = np.asarray(base.universe[rows]) != np.asarray(other.universe[others])
    if differ.any():
        yield "universe", int(rows[np.argmax(differ)])
    targets, ends = other.names("targets"), np.asarray(base.target_end[rows])
    before, after = base.returns[rows], other.returns[others]
    for number, name in enumerate(base.names("targets")):
        if name in targets:
            known = (ends[:, number] >= 0) & (ends[:, number] < cut)
            differ = known & _differ(before[:, number], after[:, targets.index(name)])
            if differ.any():
                yield f"target {name}", int(rows[np.argmax(differ)])


def _differ(old: AnyArray, new: AnyArray) -> AnyArray:
    before, after = old.astype(np.float64), new.astype(np.float64)
    finite = before[np.isfinite(before)]
    scale = float(np.ptp(finite)) if len(finite) else 0.0
    close = np.isclose(before, after, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True)
    differs: AnyArray = ~close
    return differs


def _rows_before(panel: Panel, number: int, cut_time: int) -> Int64:
    rows = np.arange(int(panel.offsets[number]), int(panel.offsets[number + 1]))
    return rows[_times(panel, rows) < cut_time]


def _times(panel: Panel, rows: Int64) -> Int64:
    return panel.calendar[panel.time_index[rows]]
