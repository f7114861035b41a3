"""After every way to end a run: what happened, what is safe, what to type next."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from seawall.errors import FormatError
from seawall.pipeline.aftermath import aftermath
from seawall.pipeline.journal import last_run, log_event
from seawall.pipeline.lock import Owner, run_lock

UNIT: dict[str, Any] = {
    "stage": "ingest",
    "key": "k",
    "outputs": [],
    "summary": {},
    "projected_private_bytes": 1,
    "measured_private_bytes": 1,
    "declared_bytes": 1,
    "wall_seconds": 1.0,
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    names = ("ingest", "folds", "train/fold_00", "train/fold_01")
    units = dict.fromkeys(names, UNIT)
    (tmp_path / "run.json").write_text(json.dumps({"format": "seawall-run/1", "name": "m", "units": units}))
    log_event(tmp_path, "began", command="seawall run c.yaml --memory 1GiB", where="/home/me", pid=7)
    return tmp_path


def working_on(run: Path, unit: str, **report: object) -> None:
    (run / ".request.json").write_text(json.dumps({"unit": unit}))
    (run / ".heartbeat.json").write_text(json.dumps(report))


def test_a_killed_parent_is_told_with_its_place_and_the_command_in_its_folder(run: Path) -> None:
    working_on(run, "train/fold_02", substep="epoch 3: train", done=4, total=9)
    (run / "models/fold_02").mkdir(parents=True)
    (run / "models/fold_02/checkpoint.pt").touch()
    gone = replace(Owner.this_process(), pid=4_000_000, start_ticks=1)
    (run / ".lock").write_text(json.dumps(asdict(gone)))

    found = aftermath(run)

    assert found.state == "killed"
    assert "process 4000000 and its stage were killed in train/fold_02, epoch 3: train (4 of 9)" in found.happened
    assert found.safe.startswith(
        "finished and kept: ingest, folds, train (2 folds). train/fold_02 goes on from its last"
    )
    assert found.to_type == "cd /home/me && seawall run c.yaml --memory 1GiB"


def test_a_running_one_has_nothing_to_type(run: Path) -> None:
    working_on(run, "join")
    with run_lock(run):
        found = aftermath(run)

    assert (found.state, found.to_type) == ("running", "")
    assert "in join, before its first report" in found.happened


@pytest.mark.parametrize(
    ("event", "error", "state", "words"),
    [
        ("ended", "", "finished", "ended well"),
        ("interrupted", "", "interrupted", "stopped on request in join"),
        ("failed", "join: the disk is full.", "failed", "join: the disk is full."),
    ],
)
def test_an_end_with_a_word_is_told_in_it(run: Path, event: str, error: str, state: str, words: str) -> None:
    log_event(run, event, "join", error)

    found = aftermath(run)

    assert found.state == state
    assert words in found.happened
    assert bool(found.to_type) == (state != "finished")


def test_a_stage_without_progress_starts_anew(run: Path) -> None:
    working_on(run, "evaluate", substep="dates")

    assert aftermath(run).safe.endswith("evaluate starts anew")


@pytest.mark.parametrize(
    ("unit", "left", "what"),
    [
        ("ingest", ".m.panel.ingest/checkpoint.npz", "the rows it has read"),
        ("ingest", ".m.panel.ingest/built.npz", "the entities it has computed"),
        ("train/fold_02/seed_1", "models/fold_02/seed_1/checkpoint.pt", "its last checkpoint"),
        ("predict/fold_02", "predictions/fold_02.k.slots", "the predictions it has written"),
        ("search", "search/.work/k/both.sums/x/partial.npz", "its last checkpoint"),
    ],
)
def test_what_an_unfinished_stage_goes_on_from_is_named(run: Path, unit: str, left: str, what: str) -> None:
    working_on(run, unit, substep="somewhere")
    (run / left).parent.mkdir(parents=True)
    (run / left).touch()

    assert f"{unit} goes on from {what}, " in aftermath(run).safe


def test_a_log_that_a_kill_cut_short_is_read_as_far_as_it_goes(run: Path) -> None:
    with (run / "log.jsonl").open("a") as file:
        file.write('{"event": "fail')
    log_event(run, "interrupted", "join")

    assert [event["event"] for event in last_run(run)] == ["began", "interrupted"]


def test_a_folder_without_a_log_is_told_all_the_same(run: Path) -> None:
    (run / "log.jsonl").unlink()

    assert aftermath(run).to_type == "the command that started the run"


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)

    with pytest.raises(FormatError, match="not the record of a run"):
        aftermath(tmp_path)
