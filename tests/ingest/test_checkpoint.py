import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from seawall.arrays import AnyArray
from seawall.errors import DataError, Interrupted
from seawall.ingest import memory
from seawall.ingest.by_date import RowFile
from seawall.ingest.run import ingest
from seawall.tables import read
from tests.ingest import world
from tests.ingest.world import BUDGET_BYTES, market

FIRST_PASS = ("read and scatter", "read row by row")
WORK = ".m.panel.ingest"


class Killed(BaseException):
    """Stands for the end of the process."""


def contents(folder: Path) -> dict[str, bytes]:
    """Give every file of a panel store."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def written(path: Path, frame: pd.DataFrame) -> Path:
    """Write a table the way its suffix says, in many blocks."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=150)
    elif path.suffix == ".feather":
        feather.write_feather(frame, path, chunksize=70)
    elif path.suffix == ".json":
        frame.to_json(path, orient="records")
    else:
        frame.to_csv(path, index=False)
    return path


def small_buckets(monkeypatch: pytest.MonkeyPatch, num_bytes: int) -> None:
    monkeypatch.setattr(memory, "BUCKET_BYTES", num_bytes)
    monkeypatch.setattr(memory, "BUCKET_BYTES_MIN", num_bytes)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "BLOCK_BYTES", 8192)
    monkeypatch.setattr(read, "PARQUET_BATCH_ROWS", 128)
    monkeypatch.setattr(read, "BLOCK_VALUES_BYTES", 1)
    small_buckets(monkeypatch, 9_000)


def made(
    output: Path, sources: list[Path], kill_at: int = -1, **changes: object
) -> tuple[list[tuple[str, int]], dict[str, Any] | None]:
    """Ingest, killed at a beat; give the beats and the summary, None where it was killed."""
    beats: list[tuple[str, int]] = []

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        beats.append((substep, done))
        if len(beats) - 1 == kill_at:
            raise Killed

    config = world.settings(*sources, **{"checkpoint_seconds": 0.0, **changes})
    try:
        return beats, ingest(config, output, budget_bytes=BUDGET_BYTES, beat=beat)
    except Killed:
        return beats, None


def rows_read(beats: list[tuple[str, int]]) -> list[int]:
    return [done for substep, done in beats if substep in FIRST_PASS]


def rows_computed(beats: list[tuple[str, int]]) -> list[int]:
    return [done for substep, done in beats if substep == "sort and compute"]


def assert_goes_on(
    folder: Path, sources: list[Path], *, same_blocks: bool = True, step: int = 5, **changes: object
) -> None:
    """Kill an ingest at its reports; see that the same call goes on, to the bytes of one that was not killed."""
    beats, summary = made(folder / "whole" / "m.panel", sources, -1, **changes)
    assert summary is not None
    expected = contents(folder / "whole" / "m.panel")
    for kill_at in range(0, len(beats), step):
        output = folder / "killed" / "m.panel"
        before, nothing = made(output, sources, kill_at, **changes)
        assert nothing is None
        after, again = made(output, sources, -1, **changes)
        assert again is not None
        assert (again["ingest"], again["shape"]) == (summary["ingest"], summary["shape"])
        assert contents(output) == expected
        assert sorted(path.name for path in output.parent.iterdir()) == ["m.panel"], "no litter"
        if rows_computed(before):
            assert not rows_read(after), "the first pass is over"
            assert min(rows_computed(after), default=10**9) >= rows_computed(before)[-1], "no entity is computed twice"
        if same_blocks:
            assert rows_read(after) == rows_read(beats)[len(rows_read(before)) :]
        elif rows_read(before):
            assert all(done > rows_read(before)[-1] for done in rows_read(after))
        shutil.rmtree(output)


@pytest.mark.parametrize("name", ["m.csv", "m.csv.gz", "m.parquet", "m.feather", "m.json"])
def test_killed_at_any_report_it_goes_on_to_the_same_bytes_and_reads_nothing_twice(tmp_path: Path, name: str) -> None:
    frame = market()
    parts = [frame[: len(frame) // 2], frame[len(frame) // 2 :]]
    sources = [written(tmp_path / f"{number}-{name}", part) for number, part in enumerate(parts)]
    assert_goes_on(tmp_path, sources, same_blocks=not name.endswith("parquet"), step=2 if name == "m.csv" else 5)


def test_bad_rows_and_dropped_rows_are_counted_once(tmp_path: Path) -> None:
    frame = market().astype({"date": object})
    frame.loc[[100, 400], "date"] = "gone"
    frame.loc[[99, 300], "symbol"] = ""
    changes: dict[str, Any] = {"max_bad_rows": 4, "drop_rows": {"cheap": "close < 5"}, "duplicates": "first"}
    assert_goes_on(tmp_path, [written(tmp_path / "m.csv", frame)], **changes)


def test_a_value_that_is_no_number_takes_back_the_rows_of_its_table_alone(tmp_path: Path) -> None:
    frame = market()
    first, second = frame[:200], frame[200:].astype({"volume": object})
    second.loc[frame.index[-5], "volume"] = "many"
    sources = [written(tmp_path / "a.csv", first), written(tmp_path / "b.csv", second)]
    beats, summary = made(tmp_path / "whole" / "m.panel", sources, max_bad_rows=1)
    assert summary is not None
    assert summary["ingest"]["bad_rows"] == {"volume is not a number": 1}
    for kill_at in range(0, len(beats), 4):
        output = tmp_path / "killed" / "m.panel"
        made(output, sources, kill_at, max_bad_rows=1)
        after, again = made(output, sources, max_bad_rows=1)
        assert again is not None
        assert again["ingest"] == summary["ingest"]
        assert contents(output) == contents(tmp_path / "whole" / "m.panel")
        assert kill_at < 3 or min(rows_read(after), default=999) > 100, "the first table is not read again"
        shutil.rmtree(output)


def test_times_that_contradict_the_format_that_was_inferred_are_read_the_other_way_after_a_kill_too(
    tmp_path: Path,
) -> None:
    frame = market(num_entities=6, num_dates=120)
    frame = frame[pd.to_datetime(frame["date"]).dt.day <= 12]
    late = market(num_entities=6, num_dates=120)
    late = late[pd.to_datetime(late["date"]).dt.day > 12]
    both = pd.concat([frame, late], ignore_index=True)
    both["date"] = pd.to_datetime(both["date"]).dt.strftime("%d/%m/%Y")
    sources = [written(tmp_path / "a.csv", both[: len(frame)]), written(tmp_path / "b.csv", both[len(frame) :])]
    adjustment: dict[str, Any] = {"adjustment": {"detect": True}}
    assert_goes_on(tmp_path, sources, **adjustment)


def test_joined_tables_go_on_table_by_table(tmp_path: Path) -> None:
    frame = market()
    facts = frame[["symbol", "date"]].assign(surprise=np.arange(len(frame)) * 0.5)
    changes: dict[str, Any] = {
        "values": ("volume", "surprise"),
        "tables": [{"sources": [str(written(tmp_path / "facts.csv", facts))], "columns": ["surprise"]}],
    }
    assert_goes_on(tmp_path, [written(tmp_path / "m.csv", frame)], **changes)


def half_read(folder: Path) -> tuple[Path, Path, list[int]]:
    """Kill an ingest in the middle of its first pass; give source, output, and the rows that were read."""
    source = written(folder / "m.csv", market())
    beats, _ = made(folder / "m.panel", [source], kill_at=4)
    assert len(rows_read(beats)) >= 3
    return source, folder / "m.panel", rows_read(beats)


def assert_begins_anew(output: Path, source: Path, **changes: object) -> None:
    after, summary = made(output, [source], -1, **changes)
    assert summary is not None
    assert rows_read(after)[0] < 200, "from the first row"
    whole, _ = made(output.parent / "anew" / "m.panel", [source], -1, **changes)
    assert rows_read(after) == rows_read(whole)
    assert contents(output) == contents(output.parent / "anew" / "m.panel")
    assert not (output.parent / WORK).exists()


def test_a_source_that_changed_is_read_from_its_beginning(tmp_path: Path) -> None:
    source, output, _ = half_read(tmp_path)
    source.write_text(source.read_text().replace("JUMP", "LEAP"))
    assert_begins_anew(output, source)


def test_another_config_begins_anew(tmp_path: Path) -> None:
    source, output, _ = half_read(tmp_path)
    assert_begins_anew(output, source, prices=("open", "high", "low", "close", "volume"), values=())


def test_another_time_between_checkpoints_or_budget_goes_on(tmp_path: Path) -> None:
    source, output, seen = half_read(tmp_path)
    beats: list[int] = []

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        beats.extend([done] if substep in FIRST_PASS else [])

    config = world.settings(source, checkpoint_seconds=300.0)
    ingest(config, output, budget_bytes=BUDGET_BYTES, knob_bytes=0, beat=beat)
    assert beats[0] > seen[-1]


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.99])
def test_a_damaged_checkpoint_is_not_believed(tmp_path: Path, place: float) -> None:
    source, output, _ = half_read(tmp_path)
    path = tmp_path / WORK / "checkpoint.npz"
    damaged = bytearray(path.read_bytes())
    damaged[int(place * len(damaged))] ^= 0x10
    path.write_bytes(damaged)
    assert_begins_anew(output, source)


def test_rows_that_are_missing_on_disk_are_read_again(tmp_path: Path) -> None:
    source, output, _ = half_read(tmp_path)
    os.truncate(tmp_path / WORK / "scattered.rows", 100)
    assert_begins_anew(output, source)


def half_computed(folder: Path, **changes: object) -> tuple[Path, Path, list[int]]:
    """Kill an ingest in the middle of its second pass; give source, output, and the rows that were computed."""
    source = written(folder / "m.csv", market())
    beats, _ = made(folder / "whole" / "m.panel", [source], -1, **changes)
    middle = [number for number, (substep, _) in enumerate(beats) if substep == "sort and compute"]
    assert len(middle) >= 4
    before, _ = made(folder / "m.panel", [source], middle[2], **changes)
    return source, folder / "m.panel", rows_computed(before)


@pytest.mark.parametrize("bucket_bytes", [2_000, 20_000, 10**6])
def test_entities_that_are_computed_stay_so_whatever_the_size_of_the_buckets(
    tmp_path: Path, bucket_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output, seen = half_computed(tmp_path)
    small_buckets(monkeypatch, bucket_bytes)
    after, summary = made(output, [source])
    assert summary is not None
    assert rows_computed(after)[0] == seen[-1] > 0
    assert not rows_read(after)
    assert contents(output) == contents(tmp_path / "whole" / "m.panel")


def test_an_entity_longer_than_a_bucket_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_buckets(monkeypatch, 2_000)
    assert_goes_on(tmp_path, [written(tmp_path / "m.csv", market(num_entities=4))])


COMPARED: dict[str, Any] = {
    "cross_sectional": {"rank_1": {"rank": "ret_1", "min_names": 3}},
    "targets": {
        "fwd_3": {
            "forward_return": {"column": "close", "horizon_periods": 3, "delay_periods": 1},
            "market_neutral": True,
            "min_names": 3,
        }
    },
}


def dates_compared(beats: list[tuple[str, int]]) -> list[int]:
    return [done for substep, done in beats if substep == "compare names of a date"]


def test_names_of_a_date_are_compared_once_whatever_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "DATE_SLAB_BYTES", 30_000)
    source = written(tmp_path / "m.csv", market())
    beats, summary = made(tmp_path / "whole" / "m.panel", [source], **COMPARED)
    assert summary is not None
    assert len(dates_compared(beats)) > 3
    for kill_at in range(8, len(beats), 3):
        output = tmp_path / "killed" / "m.panel"
        before, _ = made(output, [source], kill_at, **COMPARED)
        after, again = made(output, [source], **COMPARED)
        assert again is not None
        assert again["ingest"] == summary["ingest"]
        assert not rows_read(after)
        assert contents(output) == contents(tmp_path / "whole" / "m.panel")
        if dates_compared(before):
            assert not rows_computed(after), "the rows are on disk"
            assert dates_compared(after) == dates_compared(beats)[len(dates_compared(before)) - 1 :]
        shutil.rmtree(output)


@pytest.mark.parametrize("torn", ["features", "returns", "targets"])
def test_a_kill_in_the_middle_of_a_slab_takes_no_mean_off_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: str
) -> None:
    monkeypatch.setattr(memory, "DATE_SLAB_BYTES", 30_000)
    source = written(tmp_path / "m.csv", market())
    made(tmp_path / "whole" / "m.panel", [source], **COMPARED)
    written_runs, output = RowFile.write, tmp_path / "m.panel"
    seen: list[Path] = []

    def tear(self: RowFile, runs: Sequence[tuple[int, int]], rows: AnyArray) -> None:
        seen.append(self.path)
        if sum(path.stem == torn for path in seen) == 2 and self.path.stem == torn:
            written_runs(self, runs[:2], rows[: sum(count for _, count in runs[:2])])
            raise Killed
        written_runs(self, runs, rows)

    monkeypatch.setattr(RowFile, "write", tear)
    assert made(output, [source], **COMPARED)[1] is None
    monkeypatch.setattr(RowFile, "write", written_runs)
    after, summary = made(output, [source], **COMPARED)
    assert summary is not None
    assert not rows_computed(after)
    assert contents(output) == contents(tmp_path / "whole" / "m.panel")


@pytest.mark.parametrize("name", ["features.npy", "time_index.npy"])
def test_computed_rows_that_are_missing_on_disk_are_computed_again(tmp_path: Path, name: str) -> None:
    source, output, _ = half_computed(tmp_path)
    os.truncate(output / ".seg-000000.tmp" / name, 5000)
    after, _ = made(output, [source])
    assert rows_computed(after)[0] == 0
    assert contents(output) == contents(tmp_path / "whole" / "m.panel")


def test_ctrl_c_keeps_what_was_read_and_computed(tmp_path: Path) -> None:
    source = written(tmp_path / "m.csv", market())
    seen: list[tuple[str, int]] = []

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        seen.append((substep, done))
        if len(rows_computed(seen)) == 3:
            raise Interrupted("stage", "stopped on request")

    with pytest.raises(Interrupted):
        ingest(
            world.settings(source, checkpoint_seconds=0.0), tmp_path / "m.panel", budget_bytes=BUDGET_BYTES, beat=beat
        )
    after, _ = made(tmp_path / "m.panel", [source])
    assert not rows_read(after)
    assert rows_computed(after)[0] == rows_computed(seen)[-1] > 0


def test_what_a_killed_ingest_left_otherwise_is_swept(tmp_path: Path) -> None:
    source, output, seen = half_read(tmp_path)
    (tmp_path / WORK / "duckdb_temp_storage.tmp").write_bytes(b"left")
    after, summary = made(output, [source], kill_at=1)
    assert summary is None
    assert not (tmp_path / WORK / "duckdb_temp_storage.tmp").exists()
    assert rows_read(after)[0] > seen[-1]


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    frame = market()
    with pytest.raises(DataError, match="occurs twice"):
        made(tmp_path / "m.panel", [written(tmp_path / "m.csv", pd.concat([frame, frame[-1:]]))])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv"]


KILLED = """
import json, os, signal, sys
from collections.abc import Sequence
from pathlib import Path
from seawall.ingest.config import IngestConfig
from seawall.ingest.run import ingest
from seawall.tables import read
read.BLOCK_BYTES = 8192
left = [int(sys.argv[3])]
def beat(substep, done=0, total=0, **numbers):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
ingest(IngestConfig(**json.loads(sys.argv[1])), Path(sys.argv[2]), budget_bytes=400 << 20, beat=beat)
"""


@pytest.mark.parametrize("kill_at", [3, 5])
def test_signal_9_costs_no_row_that_was_read(tmp_path: Path, kill_at: int) -> None:
    source = written(tmp_path / "m.csv", market())
    config = world.settings(source, checkpoint_seconds=0.0).model_dump_json()
    command = [sys.executable, "-c", KILLED, config, str(tmp_path / "m.panel"), str(kill_at)]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": "src"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    whole, _ = made(tmp_path / "whole" / "m.panel", [source])
    after, _ = made(tmp_path / "m.panel", [source])
    assert rows_read(after) == rows_read(whole)[kill_at - 1 :]
    assert contents(tmp_path / "m.panel") == contents(tmp_path / "whole" / "m.panel")
