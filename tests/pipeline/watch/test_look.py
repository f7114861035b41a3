import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from seawall.cli.watch import line_of, screen_of, watch_in_terminal
from seawall.pipeline.journal import log_event
from seawall.pipeline.lock import run_lock
from seawall.pipeline.watch.look import Snapshot, Watcher
from seawall.units import GIB, MIB
from tests.report.fake_run import World, make_run


def working(folder: Path) -> Path:
    """Give a run folder as it looks while the second fold trains."""
    run = make_run(folder, World(num_folds=3, samples_per_unit=5))
    record = json.loads((run / "run.json").read_text())
    keep = {"ingest", "train/fold_00"}
    record["units"] = {name: unit for name, unit in record["units"].items() if name in keep}
    (run / "run.json").write_text(json.dumps(record))
    (run / "plan.json").write_text(json.dumps({"declared_bytes": GIB}))
    log_event(run, "began", command="seawall run x.yaml", pid=4711)
    log_event(run, "started", "train/fold_01")
    numbers: dict[str, Any] = {
        "train_loss": 0.5,
        "valid_loss": 0.6,
        "train_ic": 0.11,
        "valid_ic": 0.04,
        "valid_rank_ic": 0.05,
    }
    log_event(run, "report", "train/fold_01", epoch=0, seconds=10.0, loader_wait_seconds=0.1, **numbers)
    (run / ".request.json").write_text(json.dumps({"unit": "train/fold_01"}))
    beat(run, 10)
    return run


def beat(run: Path, step: int) -> None:
    report = {"substep": "epoch 1: train", "done": step, "total": 100, "loss": 0.4321, "batch_rows": 256}
    (run / ".heartbeat.json").write_text(json.dumps(report))


def test_a_look_at_a_run_at_work_tells_all_of_it(tmp_path: Path) -> None:
    run = working(tmp_path)
    with run_lock(run):
        seen = Watcher(run).look()
    assert (seen.name, seen.state, seen.pid) == ("pse-demo", "running", 4711)
    assert (seen.unit, seen.stage, seen.fold, seen.num_folds) == ("train/fold_01", "train", 1, 3)
    assert (seen.substep, seen.done, seen.total, seen.loss) == ("epoch 1: train", 10, 100, 0.4321)
    assert seen.declared_bytes == GIB
    assert seen.held_bytes is not None
    assert 100 * MIB < seen.held_bytes < GIB
    assert seen.peak_bytes == seen.held_bytes
    assert seen.reports[0]["valid_ic"] == 0.04
    assert seen.machine["load"] >= 0
    assert seen.machine["available_bytes"] <= seen.machine["memory_bytes"]
    assert seen.seconds_left_in_stage is not None
    first = json.loads((run / "run.json").read_text())["units"]["train/fold_00"]["wall_seconds"]
    assert first < seen.seconds_left_in_stage <= 2 * first
    json.dumps(seen.record(), allow_nan=False)


def test_rows_a_second_count_batches_between_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, now = working(tmp_path), [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    watcher = Watcher(run)
    with run_lock(run):
        assert watcher.look().rows_per_second is None
        now[0] += 2.0
        beat(run, 30)
        assert watcher.look().rows_per_second == 20 * 256 / 2
        beat(run, 5)
        assert watcher.look().rows_per_second is None


def test_a_run_that_ends_and_starts_again_is_seen_without_a_new_watcher(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path / "run")
    assert watcher.look().state == "no run yet"
    run = working(tmp_path)
    with run_lock(run):
        assert watcher.look().unit == "train/fold_01"
    log_event(run, "failed", "train/fold_01", "the loss is not finite")
    ended = watcher.look()
    assert (ended.state, ended.unit, ended.rows_per_second) == ("failed", "", None)
    assert "the loss is not finite" in line_of(ended)
    log_event(run, "began", command="seawall run x.yaml", pid=4712)
    with run_lock(run):
        again = watcher.look()
    assert (again.state, again.pid, again.reports) == ("running", 4712, ())


def test_the_screen_fits_eighty_columns_and_shows_names_as_they_are(tmp_path: Path) -> None:
    run = working(tmp_path)
    with run_lock(run):
        seen = Watcher(run).look()
    console = Console(width=80, record=True, file=StringIO())
    console.print(screen_of(seen))
    text = console.export_text()
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    for expected in ("train, fold 2 of 3", "10% epoch 1: train", "IC in sample 0.1100", "1.0% of the last", "1.0 GiB"):
        assert expected in " ".join(text.split()), expected
    assert line_of(seen).startswith("train/fold_01: epoch 1: train 10 of 100, loss 0.43210")


def test_without_a_terminal_plain_lines_end_with_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = working(tmp_path)
    log_event(run, "ended")
    watch_in_terminal(run)
    assert capsys.readouterr().out.strip() == "finished: the last run ended well"


def test_a_young_snapshot_is_shown_without_a_gap() -> None:
    assert line_of(Snapshot(unit="train/fold_00", held_bytes=MIB, declared_bytes=GIB)).startswith(
        "train/fold_00, 1.0 M"
    )
