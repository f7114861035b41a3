"""Pass two: one bucket of whole entities, sorted in memory, adjusted, its SQL expressions and targets computed."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from seawall.arrays import AnyArray, Bool, Float32, Float64, Int64
from seawall.errors import ConfigError, DataError
from seawall.ingest.adjuster import Adjuster
from seawall.ingest.causality import Moved, find_late, find_moved
from seawall.ingest.config import IngestConfig
from seawall.ingest.feature_sets.compute import compute_set
from seawall.ingest.feature_sets.config import FeatureSet
from seawall.ingest.fields import merge_fields
from seawall.ingest.quality import JUMP_RATIO, Quality
from seawall.ingest.recipe import kept_columns
from seawall.ingest.record import RecordLayout, whole_layout
from seawall.ingest.rows import Rows, kept_places
from seawall.ingest.targets import compute_targets
from seawall.stores.panel_writer import EntityBlock
from seawall.tables.engine import SqlEngine

WINDOW = "WINDOW entity AS (PARTITION BY __entity ORDER BY __time)"
UNIVERSE = "__universe"
WHERE = "ingest.features"


def _position(rows: Rows, chosen: FeatureSet, calendar: Int64) -> Int64:
    """Give the place of each row on its entity's axis: own rows, or dates of the calendar."""
    place = np.searchsorted(calendar, rows.times) if chosen.counts_dates else np.arange(len(rows.times))
    return place - np.repeat(place[rows.starts[:-1]], np.diff(rows.starts))


def _too_late(target: str, moved: Moved, entity: str, time: str) -> ConfigError:
    return ConfigError(
        f"ingest.targets: {target}",
        "the expression looks further ahead than it declares",
        found=f"its value for {entity!r} at {time} changes when {moved.removed}",
        do="Declare the horizon_periods and delay_periods it needs.",
    )


class Builder:
    """Turn bucket files into entity blocks.

    Parameters
    ----------
    names_by_rank
        All entity names in byte order.
    rank_of_code
        int64 [codes], place in that order of each code of the scatter pass.
    declared
        Factors of declared breaks by (entity, time).
    """

    def __init__(
        self,
        config: IngestConfig,
        calendar: Int64,
        calendar_kind: str,
        names_by_rank: Sequence[str],
        rank_of_code: Int64,
        engine: SqlEngine,
        declared: Mapping[tuple[str, int], float],
        layout: RecordLayout | None = None,
    ) -> None:
        self._config, self._calendar, self._kind = config, calendar, calendar_kind
        self._names, self._rank_of_code = names_by_rank, rank_of_code
        self._engine = engine
        self._layout = layout or whole_layout(config)
        self._longest_checked, self._checked_neighbours = 0, False
        self.quality = Quality(list(config.feature_names))
        self._adjuster = Adjuster(config, declared, self.quality, self._column, self.time_text)

    def build(self, records: AnyArray) -> EntityBlock:
        """Sort the rows of whole entities and compute everything the store holds about them."""
        return self.compute(self.sort(records))

    def compute(self, rows: Rows) -> EntityBlock:
        """Compute everything the store holds about sorted rows."""
        adjustment = self._adjuster.adjustment(rows)
        sql = self._evaluate(rows, adjustment)
        features = self._features(rows, adjustment, sql)
        self.quality.rows += len(rows.times[rows.kept])
        for name in self._config.prices:
            self.quality.see_price(name, self._column(rows, name)[rows.kept])
        before = slice(max(0, (rows.kept.start or 0) - 1), rows.kept.stop)  # a gap lies between two rows
        self.quality.see_gaps(self.time_index(rows.times[before]), _first_alone(rows.first[before]))
        universe = sql[:, -1] == 1.0 if self._config.universe else np.ones(len(rows.times), bool)
        self.quality.universe_rows += int(universe[rows.kept].sum())
        returns, ends = self._targets(rows, adjustment)
        return EntityBlock(
            names=rows.names,
            lengths=np.diff(rows.starts),
            times=rows.times,
            features=features,
            returns=returns,
            target_end=ends,
            prices=rows.values[:, [self._layout.wide.index(name) for name in self._config.prices]],
            adjustment=adjustment,
            universe=universe,
            values=rows.values[:, [self._layout.wide.index(name) for name in kept_columns(self._config)]],
            roles={role: self._adjuster.role(rows, role) for role in self._config.roles},
        )

    def _features(self, rows: Rows, adjustment: Float64, sql: Float64) -> Float32:
        """Put columns taken as they are and computed ones together, in the order of the config, then the sets."""
        layout, narrow = self._layout, rows.narrow
        all_narrow = tuple(layout.plain.values()) == layout.narrow and not layout.computed
        if all_narrow and narrow is not None and len(self._config.feature_names) == len(self._config.features):
            return narrow
        stored: Float32 = np.empty((len(rows.times), len(self._config.feature_names)), np.float32)
        computed = list(layout.computed)
        for place, name in enumerate(self._config.features):
            column = layout.plain.get(name)
            if narrow is not None and column in layout.narrow:
                stored[:, place] = narrow[:, layout.narrow.index(column)]
                continue
            exact = sql[:, computed.index(name)] if column is None else self._column(rows, column)
            stored[rows.kept, place] = self.quality.see_columns(exact[None, rows.kept], [place])[0]
        self._compute_sets(rows, adjustment, stored)
        return stored

    def sort(self, records: AnyArray) -> Rows:
        """Sort rows of whole entities by (entity, time) and settle duplicates."""
        if self._config.layout.has_fields:
            records = self._merged(records)
        ranks, times = self._rank_of_code[records["code"]], records["time"]
        order = _order(ranks, times)
        ranks, times = ranks[order], times[order]
        same = (ranks[1:] == ranks[:-1]) & (times[1:] == times[:-1])
        if same.any():
            keep = self._resolve_duplicates(same, ranks, times)
            ranks, times, order = ranks[keep], times[keep], order[keep]
        present, starts = np.unique(ranks, return_index=True)
        names = [self._names[rank] for rank in present]
        starts = np.append(starts, len(ranks)).astype(np.int64)
        return Rows(names, starts, times, records["wide"][order], narrow=records["narrow"][order])

    def _merged(self, records: AnyArray) -> AnyArray:
        merged = merge_fields(records, self._config.duplicates)
        if merged.num_twice and self._config.duplicates == "error":
            row = merged.records[merged.first_twice]
            raise self._twice(int(self._rank_of_code[row["code"]]), int(row["time"]), merged.num_twice)
        self.quality.duplicates += merged.num_twice
        return merged.records

    def _twice(self, rank: int, time: int, count: int) -> DataError:
        return DataError(
            "ingest",
            f"the key ({self._config.entity}, {self._config.time}) occurs twice",
            found=f"({self._names[rank]!r}, {self.time_text(time)}) and {count - 1} more in this bucket",
            do="Remove the duplicates, or declare duplicates: first or last.",
        )

    def _resolve_duplicates(self, same: Bool, ranks: Int64, times: Int64) -> Bool:
        if self._config.duplicates == "error":
            place = int(np.flatnonzero(same)[0])
            raise self._twice(int(ranks[place]), int(times[place]), int(same.sum()))
        self.quality.duplicates += int(same.sum())
        is_first = self._config.duplicates == "first"
        return np.append(True, ~same) if is_first else np.append(~same, True)

    @property
    def calendar(self) -> Int64:
        """All times, strictly increasing."""
        return self._calendar

    def time_index(self, times: Int64) -> Int64:
        """Find times in the calendar."""
        return np.searchsorted(self._calendar, times)

    def time_text(self, value: int) -> str:
        """Write a calendar value the way people read it."""
        if self._kind == "step":
            return str(value)
        text = str(np.datetime64(value, "ns").astype("datetime64[s]"))
        return text.removesuffix("T00:00:00")

    def _column(self, rows: Rows, name: str) -> Float64:
        return rows.values[:, self._layout.wide.index(name)]

    def _adjusted(self, rows: Rows, adjustment: Float64) -> dict[str, Float64]:
        return {name: self._column(rows, name) / adjustment for name in self._config.prices}

    def _targets(self, rows: Rows, adjustment: Float64) -> tuple[Float64, Int64]:
        adjusted = self._adjusted(rows, adjustment)
        self._see_jumps(rows, adjusted)
        return compute_targets(self._config.targets, adjusted, self._own_targets(rows, adjustment), rows.starts)

    def _own_targets(self, rows: Rows, adjustment: Float64) -> dict[str, Float64]:
        """Take the targets the source brings, and evaluate those in SQL, which must keep to their declared end."""
        targets = self._config.targets.items()
        found = {name: self._column(rows, target.column.name) for name, target in targets if target.column is not None}
        texts = {name: target.expression.sql for name, target in targets if target.expression is not None}
        if texts:
            table = self._table(rows, adjustment)
            results = self._sql(table, texts)
            ends = [self._config.targets[name].end_periods for name in texts]
            moved = find_late(table, rows.starts, results, ends, lambda fewer: self._sql(fewer, texts))
            if moved is not None:
                entity = rows.names[rows.entity_number[moved.row]]
                raise _too_late(list(texts)[moved.column], moved, entity, self.time_text(int(rows.times[moved.row])))
            found |= {name: results[:, place] for place, name in enumerate(texts)}
        return found

    def _see_jumps(self, rows: Rows, adjusted: Mapping[str, Float64]) -> None:
        column = self._config.adjustment.close if self._config.adjustment.detect else next(iter(adjusted), "")
        if column not in adjusted:
            return
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = adjusted[column] / np.roll(adjusted[column], 1)
        ratio[rows.first | ~np.isfinite(ratio) | (ratio <= 0)] = 1.0  # no price on one side: nothing to compare
        places = kept_places((ratio > JUMP_RATIO) | (ratio < 1 / JUMP_RATIO), rows.kept)
        self.quality.num_jumps += len(places)
        numbers = rows.entity_number
        for place in places:
            self.quality.see_jump(
                rows.names[numbers[place]], self.time_text(int(rows.times[place])), float(ratio[place])
            )

    def _evaluate(self, rows: Rows, adjustment: Float64) -> Float64:
        expressions = dict(self._layout.computed)
        if self._config.universe:
            expressions[UNIVERSE] = self._config.universe
        if not expressions:
            return np.empty((len(rows.times), 0))
        table = self._table(rows, adjustment)
        results = self._sql(table, expressions)
        self._check_causality(rows, table, expressions, results)
        return results

    def _sql(self, table: pa.Table, expressions: Mapping[str, str]) -> Float64:
        return self._engine.evaluate(table, expressions, derived=self._config.derived, window=WINDOW, where=WHERE)

    def _table(self, rows: Rows, adjustment: Float64) -> pa.Table:
        n = len(rows.times)
        times = pa.array(rows.times)
        columns: dict[str, AnyArray | pa.Array] = {
            "__id": np.arange(n),
            "__entity": rows.entity_number.astype(np.int32),
            "__time": rows.times,
            self._config.time: times.cast(pa.timestamp("ns")) if self._kind == "timestamp" else times,
            "adjustment": adjustment,
        }
        for name in self._layout.wide:
            columns[name] = pa.array(self._column(rows, name), from_pandas=True)
        for name, values in self._adjusted(rows, adjustment).items():
            columns[f"adj_{name}"] = pa.array(values, from_pandas=True)
        return pa.table(columns)

    def _compute_sets(self, rows: Rows, adjustment: Float64, stored: Float32) -> None:
        """Fill the columns of the feature sets, which stand after those of the expressions."""
        first = len(self._config.features)
        for chosen in self._config.feature_sets:
            columns = {role: self._column(rows, column) / adjustment for role, column in chosen.roles.items()}
            volume = self._column(rows, chosen.volume)
            columns["volume"] = volume if chosen.volume_in == "money" else volume * adjustment
            stop = first + len(chosen.names)
            compute_set(
                chosen.name, columns, _position(rows, chosen, self._calendar), rows.starts, stored[:, first:stop]
            )
            self.quality.see_stored(stored[rows.kept], first, stop)
            first = stop
        stored[:, first:] = np.nan  # what compares names of a date is filled in later

    def _check_causality(self, rows: Rows, table: pa.Table, expressions: Mapping[str, str], full: Float64) -> None:
        """Refuse expressions that look ahead; checked again only where a bucket can show more than those before it."""
        longest = int(np.diff(rows.starts).max())
        if longest < 2 * self._longest_checked and (self._checked_neighbours or len(rows.names) == 1):
            return
        self._longest_checked = max(longest, self._longest_checked)
        self._checked_neighbours |= len(rows.names) > 1
        moved = find_moved(table, rows.starts, full, lambda fewer: self._sql(fewer, expressions))
        if moved is None:
            return
        name = list(expressions)[moved.column]
        entity, time = rows.names[rows.entity_number[moved.row]], self.time_text(int(rows.times[moved.row]))
        raise ConfigError(
            f"ingest.features: {'universe' if name == UNIVERSE else name}",
            moved.fault,
            found=f"its value for {entity!r} at {time} changes when {moved.removed}",
            do="Use LAG and frames that end at CURRENT ROW over the window entity.",
        )


def _order(ranks: Int64, times: Int64) -> Int64:
    """Order rows by (entity, time), rows of one key as they came.

    Daily tables come ordered by time, and then counting the entities is enough: NumPy sorts 16-bit numbers by radix.
    """
    low = int(ranks.min())
    if (times[1:] >= times[:-1]).all():
        narrow = int(ranks.max()) - low <= np.iinfo(np.uint16).max
        return np.argsort((ranks - low).astype(np.uint16) if narrow else ranks, kind="stable")
    return np.lexsort((times, ranks))


def _first_alone(first: Bool) -> Bool:
    """Mark the first row of a part as well: what lies before it is not looked at."""
    marks = first.copy()
    marks[:1] = True
    return marks
