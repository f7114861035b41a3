"""The memory timeline of a run: packed from CSV to Parquet in small batches, then read back thinned for the screen."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Bool, Float64
from seawall.errors import FormatError
from seawall.report.series import MAX_POINTS, thin
from seawall.stores.atomic import replacing

BATCH_ROWS = 2_048
"""Samples held at once while packing: seven minutes of a run at 5 samples a second, about 1.5 MB."""

BYTE_COLUMNS = ("private_bytes", "shared_bytes", "file_bytes", "cgroup_bytes", "parent_private_bytes")
COLUMNS = ("seconds", "unit", "substep", *BYTE_COLUMNS)

SCHEMA = pa.schema(
    [
        ("seconds", pa.float64()),
        ("unit", pa.string()),
        ("substep", pa.string()),
        *((name, pa.int64()) for name in BYTE_COLUMNS),
    ]
)

Row: TypeAlias = tuple[float | int | str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """Memory over time, thinned; all arrays have the same length.

    ``seconds`` counts from the first sample and never falls: where a later session began at zero again, it continues
    from where the earlier one ended.
    ``total_bytes`` is the run's private and shared memory, children and parent together, all of those that ran side by
    side at that moment; ``parent_bytes`` the parent's share. ``cgroup_bytes`` is NaN where there was no cgroup.
    """

    seconds: Float64
    units: tuple[str, ...]
    total_bytes: Float64
    parent_bytes: Float64
    cgroup_bytes: Float64
    num_samples: int


def pack_timeline(source: Path, output: Path) -> int:
    """Pack ``memory.csv`` into Parquet, zstd, row groups of 2,048 samples; memory is one of them.

    A last line still being written, repeated headers and unreadable lines are left out.

    Returns
    -------
    int
        Samples packed.
    """
    num_rows = 0
    with (
        source.open(encoding="utf-8", errors="replace", newline="") as file,
        replacing(output) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        for rows in _batches(_rows(csv.reader(_whole_lines(file)))):
            columns = [
                pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))
            num_rows += len(rows)
    return num_rows


def read_timeline(path: Path, *, max_points: int = MAX_POINTS) -> Timeline:
    """Read a packed timeline, one row group at a time, keeping the extremes of ``max_points // 2`` runs of samples.

    Raises
    ------
    FormatError
        Where the file is not a packed timeline.
    """
    parts: list[_Part] = []
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            num_samples = file.metadata.num_rows
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(COLUMNS), use_threads=False):
                share = max(2, -(-max_points * len(batch) // max(num_samples, 1)))
                parts.append(_thinned(batch, parts[-1] if parts else None, share))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise FormatError(str(path), "cannot be read as a memory timeline", found=str(error).splitlines()[0]) from error
    return Timeline(
        seconds=_joined([part.seconds for part in parts]),
        units=tuple(unit for part in parts for unit in part.units),
        total_bytes=_joined([part.total_bytes for part in parts]),
        parent_bytes=_joined([part.parent_bytes for part in parts]),
        cgroup_bytes=_joined([part.cgroup_bytes for part in parts]),
        num_samples=num_samples,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    seconds: Float64
    units: list[str]
    total_bytes: Float64
    parent_bytes: Float64
    cgroup_bytes: Float64
    last_written_seconds: float


SIDE_SECONDS = 1.0
"""A unit that wrote no row for so long is over: rows come several times a second."""


def _side_by_side(units: list[str], seconds: Float64, held: Float64) -> Float64:
    """Add to each row what units that ran beside held: those with a row shortly before it and one shortly after."""
    total, names = held.copy(), np.array(units)
    for unit in dict.fromkeys(units):
        for row, later in pairwise(np.flatnonzero(names == unit).tolist()):
            if 0 <= seconds[later] - seconds[row] <= SIDE_SECONDS:
                total[row + 1 : later] += held[row]
    return total


def _thinned(batch: pa.RecordBatch, before: _Part | None, max_points: int) -> _Part:
    private, shared, cgroup, parent = (
        _floats(batch, name) for name in ("private_bytes", "shared_bytes", "cgroup_bytes", "parent_private_bytes")
    )
    parent = np.nan_to_num(parent)
    units = batch.column("unit").to_pylist()
    written = _floats(batch, "seconds")
    total = _side_by_side(units, written, np.nan_to_num(private) + np.nan_to_num(shared)) + parent
    seconds = _rising(written, before)
    chosen = thin(total, max_points=max_points, keep_T=_ends_of_runs(units))
    return _Part(
        seconds=seconds[chosen],
        units=[units[i] for i in chosen],
        total_bytes=total[chosen],
        parent_bytes=parent[chosen],
        cgroup_bytes=cgroup[chosen],
        last_written_seconds=float(written[-1]),
    )


def _floats(batch: pa.RecordBatch, name: str) -> Float64:
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=False), np.float64)


def _rising(written: Float64, before: _Part | None) -> Float64:
    begin, last_written = (float(before.seconds[-1]), before.last_written_seconds) if before else (0.0, written[0])
    return begin + np.cumsum(np.maximum(np.diff(written, prepend=last_written), 0.0))


def _ends_of_runs(units: list[str]) -> Bool:
    changes = [before != after for before, after in pairwise(units)]
    ends: Bool = np.array([True, *changes], bool) | np.array([*changes, True], bool)
    return ends


def _joined(parts: list[Float64]) -> Float64:
    return np.concatenate(parts) if parts else np.empty(0)


def _whole_lines(lines: Iterable[str]) -> Iterator[str]:
    return (line for line in lines if line.endswith("\n"))


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    held: list[Row] = []
    for row in rows:
        held.append(row)
        if len(held) == BATCH_ROWS:
            yield held
            held = []
    if held:
        yield held


def _rows(lines: Iterable[list[str]]) -> Iterator[Row]:
    for line in lines:
        if len(line) != len(COLUMNS):
            continue
        try:
            numbers = [int(float(text)) if text else None for text in line[3:]]
            yield (float(line[0]), line[1], line[2], *numbers)
        except ValueError:
            continue
