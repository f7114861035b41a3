"""External sort: any order of the source, any size of the buffer, one result."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seawall.tables import runs
from seawall.tables.runs import RunReader, RunWriter, SortedRows, without_duplicates

NUM_NAMES = 6
RANKS = np.array([3, 0, 5, 1, 4, 2])


def _written(folder: Path, times: list[int], codes: list[int], buffer_rows: int, piece: int) -> RunWriter:
    folder.mkdir(parents=True, exist_ok=True)
    writer = RunWriter(folder, 1, buffer_rows)
    for start in range(0, len(times), piece):
        part = slice(start, start + piece)
        source = np.arange(start, start + len(times[part]), dtype=np.float64)[:, None]
        writer.add(np.array(times[part], np.int64), np.array(codes[part], np.int64), source)
    writer.finish()
    return writer


def _all(blocks: list[SortedRows]) -> list[tuple[int, int, float]]:
    return [
        (int(time), int(rank), float(value[0]))
        for rows in blocks
        for time, rank, value in zip(rows.times, rows.ranks, rows.values, strict=True)
    ]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(-5, 9), st.integers(0, NUM_NAMES - 1)), min_size=1, max_size=80),
    buffer_rows=st.integers(1, 40),
    piece=st.integers(1, 30),
)
def test_rows_come_back_in_order_of_time_name_and_source(
    tmp_path: Path, rows: list[tuple[int, int]], buffer_rows: int, piece: int
) -> None:
    times, codes = [row[0] for row in rows], [row[1] for row in rows]
    writer = _written(tmp_path / f"{buffer_rows}-{piece}-{abs(hash(tuple(rows)))}", times, codes, buffer_rows, piece)
    blocks = list(RunReader(writer.paths, 1, RANKS, buffer_rows))
    expected = sorted((time, int(RANKS[code]), float(place)) for place, (time, code) in enumerate(rows))
    assert _all(blocks) == expected
    for earlier, later in itertools.pairwise(blocks):
        assert earlier.times[-1] < later.times[0]  # whole dates only
    assert (writer.first_time, writer.last_time) == (min(times), max(times))


def test_more_runs_than_can_be_open_are_merged_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MAX_RUNS", 3)
    times = np.random.default_rng(0).integers(0, 9, 200).tolist()
    codes = [time % NUM_NAMES for time in times]
    writer = _written(tmp_path, times, codes, buffer_rows=5, piece=7)
    assert len(writer.paths) <= 3
    expected = sorted(
        (time, int(RANKS[code]), float(place)) for place, (time, code) in enumerate(zip(times, codes, strict=True))
    )
    assert _all(list(RunReader(writer.paths, 1, RANKS, 5))) == expected


def test_no_row_later_than_asked_is_taken(tmp_path: Path) -> None:
    writer = _written(tmp_path, [5, 1, 3, 3, 9], [0, 1, 2, 3, 4], buffer_rows=2, piece=5)
    taken: list[int] = []
    with RunReader(writer.paths, 1, RANKS, 2) as reader:
        while len(rows := reader.take(4)):
            taken += rows.times.tolist()
        assert taken == [1, 3, 3]
        assert [time for rows in reader for time in rows.times.tolist()] == [5, 9]


@pytest.mark.parametrize(("policy", "kept"), [("first", [0.0, 3.0]), ("last", [2.0, 3.0])])
def test_of_repeated_keys_the_first_or_last_is_kept(policy: runs.DuplicatePolicy, kept: list[float]) -> None:
    rows = SortedRows(np.array([1, 1, 1, 2]), np.array([4, 4, 4, 4]), np.arange(4.0)[:, None])
    left, num_repeated = without_duplicates(rows, policy)
    assert left.values[:, 0].tolist() == kept
    assert num_repeated == 2
