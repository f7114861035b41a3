"""A table of somebody else's, keyed by (time, entity): read once, and from then on in order of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from seawall.arrays import Bool, Float64
from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError, DataError, nearest
from seawall.tables.keys import EntityCodes, TimeReader, disagreement
from seawall.tables.names import WITHOUT
from seawall.tables.read import (
    BadRow,
    RawBlock,
    TypedReadError,
    column_names,
    number_columns,
    read_blocks,
    read_rows_checked,
    require_columns,
)
from seawall.tables.runs import RunReader, RunWriter, SortedRows
from seawall.tables.sources import check_unchanged, fingerprint
from seawall.tables.times import declared_format


@dataclass(frozen=True, slots=True)
class KeyedSource:
    """Which files hold a table, and which of its columns are wanted."""

    name: str
    """What messages call it: ``predictions``, ``returns``."""
    files: tuple[Path, ...]
    entity: str
    time: str
    values: tuple[str, ...]
    time_format: str | None = None
    label: str | None = None
    """A column of few texts; the number of each row's text is one value more at the end."""
    max_labels: int = 32

    @property
    def num_values(self) -> int:
        """Values a row is kept with."""
        return len(self.values) + (self.label is not None)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (self.entity, self.time, *self.values, *([self.label] if self.label else []))


@dataclass(slots=True)
class KeyedTable:
    """A table after its one reading: sorted runs on disk, and what its keys looked like."""

    source: KeyedSource
    num_rows: int
    times: TimeReader
    first_time: int
    last_time: int
    seen: Bool
    """bool [E]; which entity codes it has, of those known when its reading ended."""
    paths: list[Path]
    buffer_rows: int
    labels: list[str]
    """Texts of the label column, in order of their numbers."""

    def open(self, codes: EntityCodes) -> RunReader:
        """Read it again in order of (time, entity name)."""
        return RunReader(self.paths, self.source.num_values, codes.ranks(), self.buffer_rows)

    def entity_examples(self, codes: EntityCodes, count: int = 3) -> list[str]:
        """Give its first entity names."""
        names = codes.names
        return [names[code] for code in np.flatnonzero(self.seen)[:count].tolist()]


def spill(source: KeyedSource, codes: EntityCodes, folder: Path, buffer_rows: int, beat: Beat) -> KeyedTable:
    """Read a table once and leave it on disk as sorted runs.

    Memory is one block of the reader, the buffer of the runs, and the entity names.

    Parameters
    ----------
    codes
        Shared by the tables that will be matched; grows.
    folder
        Empty folder on a real disk; takes 12 + 8 V bytes a row.

    Raises
    ------
    ConfigError
        For an unknown column.
    DataError
        With file and line for a row that cannot be used; where a file changes while it is read, or there is no row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    declared = declared_format(source.time_format, where=source.name) if source.time_format else None
    times = TimeReader(source.name, declared)
    runs = RunWriter(folder, source.num_values, buffer_rows)
    labels, seen = EntityCodes(), set[int]()
    for file in source.files:
        before = fingerprint(file)
        for block in _blocks(file, source):
            codes_of_rows, present = codes.encode(block.entity)
            _require_entities(present, block, file)
            values = _with_labels(block, labels, source)
            runs.add(times.read(block.time, block.line, str(file)), codes_of_rows, values)
            seen.update(np.unique(codes_of_rows).tolist())
            beat(f"read {source.name}", runs.num_rows, 0)
        check_unchanged(before)
    runs.finish()
    if not runs.num_rows:
        raise DataError(f"{source.name} {source.files[0]}", "no rows", do="Check that the files are complete.")
    marks = np.zeros(len(codes), bool)
    marks[list(seen)] = True
    span = (runs.first_time, runs.last_time)
    return KeyedTable(source, runs.num_rows, times, *span, marks, runs.paths, buffer_rows, labels.names)


def _with_labels(block: RawBlock, labels: EntityCodes, source: KeyedSource) -> Float64:
    """Set the number of each row's label beside its values.

    Raises
    ------
    ConfigError
        For more labels than are allowed.
    """
    if block.label is None:
        return block.values
    numbers, present = labels.encode(block.label)
    if not present.all():
        numbers = np.where(present, numbers, labels.encode(pa.array([WITHOUT]))[0])
    if len(labels) > source.max_labels:
        where = f"{source.name} {source.files[0]}"
        what, found = f"{source.label} splits the rows too finely", f"{len(labels):,} groups so far"
        do = "Name a column of fewer values."
        raise ConfigError(where, what, found=found, allowed=f"{source.max_labels}", do=do)
    return np.column_stack([block.values, numbers])


def _blocks(file: Path, source: KeyedSource) -> Iterator[RawBlock]:
    """Read fast; where a cell is no number, read again cell by cell to name the row."""
    columns = (source.entity, source.time, source.values)
    require_columns(file, source.columns)
    try:
        yield from read_blocks(file, *columns, label=source.label)
    except TypedReadError as error:
        bad: list[BadRow] = []
        for _ in read_rows_checked(file, *columns, bad):
            if bad:
                break
        if not bad:
            raise DataError(f"source {file}", "cannot be parsed", found=str(error).splitlines()[0]) from error
        first = bad[0]
        raise DataError(
            f"{first.file}, line {first.line}", first.reason, found=repr(first.text), do="Mend the row."
        ) from error


def _require_entities(present: Bool, block: RawBlock, file: Path) -> None:
    if not present.all():
        line = int(block.line[int(np.argmin(present))])
        raise DataError(f"{file}, line {line}", "the entity is missing", do="Mend the row, or leave it out.")


def require_comparable(one: KeyedTable, other: KeyedTable, codes: EntityCodes) -> None:
    """Refuse two tables whose keys cannot meet, with examples from both sides.

    Raises
    ------
    DataError
        Where times are of different kinds, one side has time zones, the spans do not overlap, or no entity is in both.
    """
    both = (one, other)
    where = f"{one.source.name} and {other.source.name}"
    reason = disagreement([(table.source.name, table.times) for table in both])
    if reason is not None:
        raise DataError(
            where, "the times cannot be compared", found=reason, do="Write both the same way, in UTC or without a zone."
        )
    if one.last_time < other.first_time or other.last_time < one.first_time:
        spans = "; ".join(f"{t.source.name} from {_shown(t, t.first_time)} to {_shown(t, t.last_time)}" for t in both)
        raise DataError(where, "the two have no time in common", found=spans, do="Check the time columns.")
    num_common = int((one.seen & other.seen[: len(one.seen)]).sum())
    if num_common == 0:
        found = "; ".join(f"{t.source.name} {', '.join(map(repr, t.entity_examples(codes)))}" for t in both)
        raise DataError(
            where,
            "the two have no entity in common",
            found=found,
            do=_entity_hint(one.entity_examples(codes, 50), other.entity_examples(codes, 50)),
        )


def _entity_hint(one: Sequence[str], other: Sequence[str]) -> str:
    """Say which usual difference would explain it."""
    pairs = [(set(one), set(other)), (set(other), set(one))]
    for names, known in pairs:
        if {name.lstrip("0") for name in names} & known:
            return "One side lost the leading zeros of its codes: keep them as text."
        if {name.strip().casefold() for name in names} & {name.strip().casefold() for name in known}:
            return "They differ in case or spaces only: write both the same way."
        if {name.partition(".")[0].lstrip("0") for name in names} & {name.lstrip("0") for name in known}:
            return "One side has a suffix the other has not (as 000001.XSHE and 1): write both the same way."
    return "Check that both columns hold the same kind of code."


def _shown(table: KeyedTable, time: int) -> str:
    return shown_time(time, table.times.kind)


def shown_time(time: int, kind: str) -> str:
    """Write a time for people: a date where it is midnight, else to the second; plain steps as they are."""
    if kind == "step":
        return str(time)
    text = str(np.datetime64(time, "ns").astype("datetime64[s]"))
    return text.removesuffix("T00:00:00").replace("T", " ")


def choose_column(
    files: Sequence[Path], wanted: str | None, usual: Sequence[str], keys: Sequence[str], role: str
) -> str:
    """Find the column with a role: the one named, else a usual name, else the only number column there is.

    Raises
    ------
    ConfigError
        Where it cannot be told; the message lists the number columns.
    """
    names = column_names(files[0])
    if wanted is not None:
        if wanted not in names:
            raise ConfigError(f"{role} {files[0]}", "unknown column", found=repr(wanted), do=nearest(wanted, names))
        return wanted
    for name in usual:
        if name in names:
            return name
    numbers = [name for name in number_columns(files[0]) if name not in (*keys, "row", "fold")]
    if len(numbers) == 1:
        return numbers[0]
    shown = ", ".join(map(repr, numbers[:12])) or "no number column"
    raise ConfigError(f"{role} {files[0]}", f"which column is the {role} is not clear", found=shown, do="Name it.")


def require_unique(rows: SortedRows, repeated: Bool, table: KeyedTable, codes: EntityCodes) -> None:
    """Refuse repeated keys, naming the first.

    Raises
    ------
    DataError
        Where a row has the keys of the one before.
    """
    if not repeated.any():
        return
    place = int(np.argmax(repeated))
    name = sorted(codes.names, key=str.encode)[int(rows.ranks[place])]
    raise DataError(
        table.source.name,
        "the same (time, entity) occurs more than once",
        found=f"{_shown(table, int(rows.times[place]))}, {name!r}; {int(repeated.sum()):,} such rows near it",
        allowed="each (time, entity) once",
        do="Remove the repeats, or choose: duplicates first or last.",
    )
