"""The first pass over tables: read, scattered to entity ranges on disk, and gone on with where a kill has ended it."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from seawall.budget.heartbeat import Beat
from seawall.ingest.checkpoint import Checkpoint, Place
from seawall.ingest.config import IngestConfig
from seawall.ingest.record import record_layout
from seawall.ingest.rules import RowRules
from seawall.ingest.scatter import Scatter, ScatterConfig, ScatterState
from seawall.tables.engine import SqlEngine
from seawall.tables.read import BadRow, TypedReadError
from seawall.tables.table import Table
from seawall.tables.times import FormatContradicted, TimeFormat


@dataclass(frozen=True, slots=True)
class FirstPass:
    """Make first passes; ``stack`` closes the spill files."""

    knobs: dict[str, int]
    engine: SqlEngine
    stack: ExitStack
    beat: Beat

    def __call__(
        self, config: IngestConfig, tables: list[Table], work: Path, splits: list[bytes], time_format: TimeFormat | None
    ) -> tuple[Scatter, TimeFormat | None]:
        """Scatter all rows of the tables.

        Where rows contradict the time format and another one reads everything, the pass begins again with that one.
        """
        checkpoint = Checkpoint(work, config.checkpoint_seconds)
        found = checkpoint.load()
        state, place = found if found is not None else (None, Place())
        if found is not None and place.time_format is not None and place.time_format != _name(time_format):
            time_format = TimeFormat(*place.time_format)
        try:
            scatter = self._scatter(config, work, splits, state)
            _Pass(config, scatter, time_format, checkpoint, self).run(tables, place)
        except FormatContradicted as contradicted:
            checkpoint.forget()
            time_format = replace(contradicted.better, samples=())  # what this does not read is a bad row
            scatter = self._scatter(config, work, splits, None)
            _Pass(config, scatter, time_format, checkpoint, self).run(tables, Place())
        return scatter, time_format

    def _scatter(self, config: IngestConfig, work: Path, splits: list[bytes], state: ScatterState | None) -> Scatter:
        settings = ScatterConfig(self.knobs["staging_bytes"], config.max_bad_rows)
        scatter = Scatter(work, splits, record_layout(config), config.value_columns, settings, state)
        return self.stack.enter_context(scatter)


def _name(time_format: TimeFormat | None) -> tuple[str, str] | None:
    return None if time_format is None else (time_format.name, time_format.timezone)


class _Pass:
    """One pass with one time format."""

    def __init__(
        self,
        config: IngestConfig,
        scatter: Scatter,
        time_format: TimeFormat | None,
        checkpoint: Checkpoint,
        shared: FirstPass,
    ) -> None:
        self._config, self._scatter, self._time_format = config, scatter, time_format
        self._checkpoint, self._beat = checkpoint, shared.beat
        self._num_threads = shared.knobs["parse_threads"]
        self._rules = RowRules(config, shared.engine)

    def run(self, tables: list[Table], place: Place) -> None:
        """Scatter the tables from a place on."""
        for number in range(place.table, len(tables)):
            is_within = number == place.table and place.marked is not None
            if self._config.layout.has_fields and not is_within:
                self._scatter.tally.disorder.forget()
            self._table(number, tables[number], place if is_within else Place(number))
            self._keep(Place(number + 1), at_end=True)
        self._scatter.finish()

    def _table(self, number: int, table: Table, place: Place) -> None:
        """Scatter a table the fast way; where a value does not convert, forget it and read it again row by row."""
        scatter, where, values = self._scatter, table.part.label, self._config.value_columns
        marked = place.marked or scatter.mark()
        blocks = table.blocks(values, self._time_format, num_threads=self._num_threads, start=place.position)
        try:
            for block in blocks:
                scatter.add(block, self._time_format, where, self._rules)
                if block.after is not None:
                    self._keep(Place(number, block.after, marked))
                self._beat("read and scatter", scatter.tally.rows_read)
        except TypedReadError:
            scatter.roll_back(marked)
            bad: list[BadRow] = []
            for block in table.checked(values, self._time_format, bad):
                scatter.note_bad_rows(bad)
                bad.clear()
                scatter.add(block, self._time_format, where, self._rules)
                self._beat("read row by row", scatter.tally.rows_read)
            scatter.note_bad_rows(bad)

    def _keep(self, place: Place, *, at_end: bool = False) -> None:
        """Write a checkpoint where one is due."""
        if self._checkpoint.is_due(at_end=at_end):
            self._checkpoint.save(self._scatter.state(), replace(place, time_format=_name(self._time_format)))
