"""High-water marks and the timeline on disk."""

import csv
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.budget import meter
from seawall.budget.meter import TIMELINE_COLUMNS, HighWater, Meter, Timeline
from seawall.budget.processes import Sample, TreeReader
from seawall.units import MIB


class ScriptedTree(TreeReader):
    """Gives prepared samples one after another in place of a real process tree."""

    def __init__(self, private_mib: list[int]) -> None:
        super().__init__(os.getpid())
        self._left = [Sample(mib * MIB, mib, 1000 - mib) for mib in private_mib]

    def __call__(self, pid: int) -> "ScriptedTree":
        return self

    def sample(self) -> Sample:
        return self._left.pop(0)


def beat(path: Path, substep: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"substep": substep}), encoding="utf-8")
    temporary.replace(path)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_high_water_marks_are_the_highest_of_all_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "TreeReader", ScriptedTree([5, 30, 10]))
    charges = iter([7])  # looked at now and then: its peak is the kernel's to keep

    with Timeline(tmp_path / "memory.csv") as timeline:
        watched = Meter(timeline, pid=1, unit="ingest", heartbeat=tmp_path / "beat", charged=lambda: next(charges))
        samples = [watched.sample() for _ in range(3)]
        watched.close()

    assert [sample.private_bytes for sample in samples] == [5 * MIB, 30 * MIB, 10 * MIB]
    assert (watched.high.private_bytes, watched.high.shared_bytes) == (30 * MIB, 30)
    assert (watched.high.held_bytes, watched.high.file_bytes) == (30 * MIB + 30, 995)
    assert watched.high.cgroup_bytes == 7
    assert watched.high.parent_private_bytes > MIB


def test_a_row_is_written_for_each_sub_step_and_holds_its_highest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "TreeReader", ScriptedTree([5, 30, 10, 20]))
    monkeypatch.setattr(meter, "ROW_SECONDS", 1e9)
    monkeypatch.setattr(meter, "ASIDE_SECONDS", 0.0)
    heartbeat = tmp_path / "beat"

    with Timeline(tmp_path / "memory.csv") as timeline:
        watched = Meter(timeline, pid=1, unit='train, "fold" 0', heartbeat=heartbeat, charged=lambda: None)
        for substep in ("", "read", "read", "fit"):
            if substep:
                beat(heartbeat, substep)
            watched.sample()
        watched.close()

    rows = rows_of(tmp_path / "memory.csv")
    assert tuple(rows[0]) == TIMELINE_COLUMNS
    assert [(row["substep"], int(row["private_bytes"]) // MIB) for row in rows] == [("", 5), ("read", 30), ("fit", 20)]
    assert {row["unit"] for row in rows} == {'train, "fold" 0'}
    assert {row["cgroup_bytes"] for row in rows} == {""}


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.floats(0, 1e-4))
def test_no_peak_is_lost_between_rows(
    tmp_path_factory: pytest.TempPathFactory, private_mib: list[int], row_seconds: float
) -> None:
    folder = tmp_path_factory.mktemp("timeline")
    with pytest.MonkeyPatch.context() as patch, Timeline(folder / "memory.csv") as timeline:
        patch.setattr(meter, "TreeReader", ScriptedTree(private_mib))
        patch.setattr(meter, "ROW_SECONDS", row_seconds)
        watched = Meter(timeline, pid=1, unit="u", heartbeat=folder / "beat", charged=lambda: None)
        for _ in private_mib:
            watched.sample()
        watched.close()

    assert max(int(row["private_bytes"]) for row in rows_of(folder / "memory.csv")) == max(private_mib) * MIB
    assert watched.high.private_bytes == max(private_mib) * MIB


def test_a_continued_timeline_has_one_header_and_goes_on_in_time(tmp_path: Path) -> None:
    path = tmp_path / "memory.csv"
    path.write_text(",".join(TIMELINE_COLUMNS) + "\n41.50,ingest,read,1,2,3,,4\n42.00,ing", encoding="utf-8")

    with Timeline(path) as timeline:
        timeline.append("ingest", "sort", HighWater(private_bytes=7))

    rows = rows_of(path)
    assert [row["substep"] for row in rows] == ["read", "sort"]
    assert 41.5 <= float(rows[1]["seconds"]) < 60


def test_a_timeline_that_died_in_its_header_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "memory.csv"
    path.write_text("seconds,uni", encoding="utf-8")

    with Timeline(path) as timeline:
        timeline.append("ingest", "read", HighWater())

    assert [row["unit"] for row in rows_of(path)] == ["ingest"]


def test_rows_reach_the_disk_while_the_stage_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "FLUSH_SECONDS", 0.0)
    path = tmp_path / "memory.csv"

    with Timeline(path) as timeline:
        timeline.append("ingest", "read", HighWater(file_bytes=3))

        assert [row["file_bytes"] for row in rows_of(path)] == ["3"]


def test_a_real_process_is_measured_in_well_under_a_millisecond(tmp_path: Path) -> None:
    with Timeline(tmp_path / "memory.csv") as timeline:
        watched = Meter(timeline, pid=os.getpid(), unit="u", heartbeat=tmp_path / "beat", charged=lambda: None)
        before = time.process_time()
        for _ in range(200):
            sample = watched.sample()
        cpu_seconds = (time.process_time() - before) / 200

    assert sample.private_bytes > MIB
    # 0.5 % of one core at a sample every 50 ms is 250 us.
    assert cpu_seconds < 250e-6
