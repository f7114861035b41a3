"""What a run does with what an earlier, killed or different run has left in its folder."""

import errno
import json
import os
import shutil
import signal
import threading
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

import seawall as sw
from seawall.budget.fence import open_fence
from seawall.budget.limits import find_budget
from seawall.budget.processes import descendants
from seawall.errors import BudgetError, ConfigError, FormatError, Interrupted, ResumeError, StageError
from seawall.pipeline.config import parse_config
from seawall.pipeline.lock import Owner, PanelLock
from seawall.pipeline.manifest import RunManifest
from seawall.pipeline.outputs import output_files, remove_other_folds
from seawall.pipeline.result import Predictions
from seawall.pipeline.run import Order, Runner, Silent
from seawall.pipeline.stages import Unit, unit_key
from seawall.report.reading import read_run

BUDGET = "2GiB"


@pytest.fixture
def settings(finished_run: tuple[Path, dict[str, Any]], tmp_path: Path) -> dict[str, Any]:
    """The config of a copy of the finished run."""
    shutil.copytree(finished_run[0], tmp_path / "out")
    return {**finished_run[1], "output": str(tmp_path / "out")}


def with_train(settings: dict[str, Any], **change: Any) -> dict[str, Any]:  # noqa: ANN401 - config values
    return {**settings, "train": {**settings["train"], **change}}


def runner(settings: dict[str, Any], order: Order | None = None) -> Runner:
    return Runner(parse_config(settings, "config"), find_budget(BUDGET), Silent(), order or Order())


def units(settings: dict[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((Path(settings["output"]) / "run.json").read_text())["units"]
    return loaded


def drop_records(settings: dict[str, Any], *names: str) -> None:
    RunManifest(Path(settings["output"]), "small").forget(names)


def test_a_copied_run_folder_is_still_finished(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seawall.pipeline.unit.run_job", not_called)

    sw.run(settings, memory=BUDGET)


def not_called(*_: object) -> NoReturn:
    pytest.fail("a unit was run")


class Told(Silent):
    """What was said about the run as a whole."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def noted(self, text: str) -> None:
        self.notes.append(text)


def test_a_finished_run_with_a_smaller_budget_has_nothing_to_do(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seawall.pipeline.unit.run_job", not_called)
    listener = Told()

    Runner(parse_config(settings, "config"), find_budget("1MiB"), listener).run()

    assert listener.notes == ["nothing to do: every stage is done, with the same content"]


def test_a_smaller_budget_is_refused_as_soon_as_something_is_to_do(settings: dict[str, Any]) -> None:
    drop_records(settings, "join")

    with pytest.raises(BudgetError, match=r"join \(\d+ MiB\)\.$"):
        Runner(parse_config(settings, "config"), find_budget("60MiB"), Silent()).run()


def test_results_of_a_section_that_is_taken_out_are_kept_and_not_shown(settings: dict[str, Any]) -> None:
    folder, had = Path(settings["output"]), units(settings)
    untraded = {key: value for key, value in settings.items() if key != "backtest"}
    untrained = {key: value for key, value in untraded.items() if key != "train"}

    shown = []
    for part in (untraded, untrained, settings):
        sw.run(part, memory=BUDGET)
        run = read_run(folder)
        stages = {unit.stage for unit in run.units}
        shown.append((len(run.strategies), len(run.trainings), bool(run.metrics), "backtest" in stages, len(stages)))

    assert shown == [(0, 3, True, False, 6), (0, 0, False, False, 1), (2, 3, True, True, 7)]
    without_report = [
        {name: unit for name, unit in records.items() if name != "report"} for records in (had, units(settings))
    ]
    assert without_report[0] == without_report[1]
    assert units(settings)["report"]["key"] == had["report"]["key"]


def test_a_second_run_that_would_ingest_into_a_panel_in_use_is_refused_and_changes_nothing(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seawall.pipeline.lock.LOCK_SECONDS", 0.1)
    panel = Path(settings["output"]) / "small.panel"
    before = {path: path.read_bytes() for path in panel.rglob("*") if path.is_file()}
    other = {**settings, "output": str(tmp_path / "other"), "panel": str(panel)}

    with PanelLock(panel) as held:
        held.read()
        with pytest.raises(ResumeError, match=r"panel .*another run is using it"):
            sw.run(other, memory=BUDGET)

    assert {path: path.read_bytes() for path in panel.rglob("*") if path.is_file()} == before


def test_two_runs_share_a_finished_panel(settings: dict[str, Any], tmp_path: Path) -> None:
    panel = Path(settings["output"]) / "small.panel"
    other = {key: value for key, value in settings.items() if key not in ("ingest", "train", "backtest")}

    with PanelLock(panel) as held:
        held.read()
        sw.run({**other, "output": str(tmp_path / "other"), "panel": str(panel)}, memory=BUDGET)


def test_a_panel_that_another_run_replaced_meanwhile_is_not_mixed_with_this_one(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Path(settings["output"]) / "small.panel" / "panel.json"
    drop_records(settings, "join")
    skipped = Silent.skipped

    def replace_then_skip(self: Silent, unit: Unit, record: dict[str, Any]) -> None:
        if unit.stage == "ingest":
            manifest.write_text(manifest.read_text() + " ")
        skipped(self, unit, record)

    monkeypatch.setattr(Silent, "skipped", replace_then_skip)

    with pytest.raises(ResumeError, match="another run has replaced it meanwhile"):
        sw.run(settings, memory=BUDGET)


def test_the_start_after_a_killed_parent_says_where_it_was_killed_and_continues(settings: dict[str, Any]) -> None:
    folder, listener = Path(settings["output"]), Told()
    drop_records(settings, "join")
    owner = replace(Owner.this_process(), pid=4_000_000, start_ticks=1, started="2026-01-02T03:04:05+00:00")
    (folder / ".lock").write_text(json.dumps(asdict(owner)))
    (folder / ".request.json").write_text('{"unit": "join"}')
    (folder / ".heartbeat.json").write_text('{"substep": "gather", "done": 3, "total": 9}')

    Runner(parse_config(settings, "config"), find_budget(BUDGET), listener).run()

    (note,) = listener.notes
    assert "process 4000000" in note
    assert "was killed in join, gather (3 of 9); what it finished is kept" in note
    assert json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["event"] == "ended"


@pytest.mark.parametrize(("stage", "before"), [("train", "folds"), ("predict", "train")])
def test_a_single_stage_is_refused_where_the_folds_have_changed(
    settings: dict[str, Any], stage: str, before: str
) -> None:
    had = units(settings)
    changed = with_train(settings, folds={"train": 100, "valid": 30, "test": 30})

    with pytest.raises(ConfigError, match=f"stage {stage}: needs the stage {before} first, found one of another"):
        sw.run(changed, memory=BUDGET, only=stage)

    assert units(settings) == had
    assert all((Path(settings["output"]) / "models" / f"fold_{fold:02d}").is_dir() for fold in range(3))


def test_predicting_after_a_training_that_was_killed_says_which_stage_is_missing(settings: dict[str, Any]) -> None:
    drop_records(settings, "train/fold_02")

    with pytest.raises(ConfigError, match=r"stage predict: needs the stage train first, found .* not of every fold"):
        sw.run(settings, memory=BUDGET, only="predict")


def test_a_single_stage_does_not_need_the_source_tables_any_more(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seawall.pipeline.unit.run_job", not_called)
    gone = {**settings, "ingest": {**settings["ingest"], "sources": ["/no/such/file.csv"]}}

    sw.run(gone, memory=BUDGET, only="evaluate")


def test_files_of_folds_that_no_longer_exist_go_whether_recorded_or_not(tmp_path: Path) -> None:
    for fold in range(3):
        (tmp_path / "models" / f"fold_{fold:02d}").mkdir(parents=True)
        (tmp_path / "models" / f"fold_{fold:02d}" / "model.safetensors").touch()
        (tmp_path / "predictions").mkdir(exist_ok=True)
        for ending in ("json", "parquet", "slots"):
            (tmp_path / "predictions" / f"fold_{fold:02d}.{ending}").touch()

    for stage in ("train", "predict"):
        remove_other_folds(stage, 2, tmp_path)

    assert {p.name for p in (tmp_path / "models").iterdir()} == {"fold_00", "fold_01"}
    assert {p.name.split(".")[0] for p in (tmp_path / "predictions").iterdir()} == {"fold_00", "fold_01"}


def test_fewer_folds_work_where_the_models_were_deleted_by_hand(settings: dict[str, Any]) -> None:
    shutil.rmtree(Path(settings["output"]) / "models")
    fewer = with_train(settings, folds={"train": 100, "valid": 30, "test": 40, "step": 90})

    sw.run(fewer, memory=BUDGET)

    assert {name for name in units(settings) if "/" in name} == {"train/fold_00", "predict/fold_00"}
    assert [p.name for p in (Path(settings["output"]) / "models").iterdir()] == ["fold_00"]


@pytest.mark.parametrize("victim", ["folds.json", "small.panel/panel.json"])
@pytest.mark.parametrize("damage", ["{", "{}", ""])
def test_a_damaged_record_is_planned_around(settings: dict[str, Any], victim: str, damage: str) -> None:
    (Path(settings["output"]) / victim).write_text(damage)

    assert len(runner(settings).plan()) == 8


def test_a_panel_without_a_content_key_is_planned_around(settings: dict[str, Any]) -> None:
    path = Path(settings["output"]) / "small.panel" / "panel.json"
    manifest = json.loads(path.read_text())
    del manifest["content_key"]
    path.write_text(json.dumps(manifest))

    assert len(runner(settings).plan()) == 8


def test_a_run_of_another_name_makes_its_own_panel(settings: dict[str, Any]) -> None:
    ours, other = (parse_config({**settings, "name": name}, "config") for name in ("small", "other"))
    manifest = RunManifest(ours.output, "small")

    assert unit_key(Unit("ingest"), ours, manifest) == units(settings)["ingest"]["key"]
    assert unit_key(Unit("ingest"), other, manifest) != units(settings)["ingest"]["key"]


def test_checkpointing_more_often_trains_nothing_again(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seawall.pipeline.unit.run_job", not_called)

    sw.run(with_train(settings, checkpoint_seconds=1.0), memory=BUDGET)


def test_disk_is_asked_for_only_what_is_still_to_be_done(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seawall.budget.check.free_disk_bytes", lambda path: 0)
    whole = runner(settings)
    whole.check(whole.plan())

    drop_records(settings, "predict/fold_01")
    pending = runner(settings)
    with pytest.raises(BudgetError, match=r"the run needs .* of disk"):
        pending.check(pending.plan())


def stopped(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def test_doing_stages_anew_survives_a_kill(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seawall.pipeline.unit.run_job", stopped)

    with pytest.raises(Interrupted, match=r"Continue with: seawall run c\.yaml"):
        runner(settings, Order(first="backtest", command="seawall run c.yaml")).run()

    assert not {"backtest", "report"} & set(units(settings))
    assert {"join", "predict/fold_02"} <= set(units(settings))


def test_a_run_stopped_in_its_first_unit_is_known_as_a_run(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seawall.pipeline.unit.run_job", stopped)

    with pytest.raises(Interrupted):
        sw.run({**settings, "output": str(tmp_path / "new")}, memory=BUDGET)

    assert sw.Run(tmp_path / "new").record["units"] == {}


def test_a_stop_before_the_first_unit_says_how_to_continue(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seawall.pipeline.look.run_job", stopped)

    with pytest.raises(Interrupted, match="Continue with: the same call"):
        sw.run({**settings, "output": str(tmp_path / "new")}, memory=BUDGET)

    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_told_as_such(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device", "run.json")

    drop_records(settings, "report")
    monkeypatch.setattr("seawall.pipeline.unit.run_job", full)

    with pytest.raises(StageError, match=r"found No space left on device: run\.json\. What was finished is kept"):
        sw.run(settings, memory=BUDGET)


@pytest.mark.parametrize("damaged", [1, {}, {"key": "x", "outputs": [3]}])
def test_a_damaged_record_of_a_unit_is_a_format_error(settings: dict[str, Any], damaged: object) -> None:
    path = Path(settings["output"]) / "run.json"
    record = json.loads(path.read_text())
    record["units"]["join"] = damaged
    path.write_text(json.dumps(record))

    with pytest.raises(FormatError, match="damaged, found the record of join"):
        sw.Run(path.parent)


def test_an_allocation_refused_in_a_stage_says_what_to_declare(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("hungry = [bytearray(10**8) for _ in range(9)]")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("seawall.pipeline.supervise.open_fence", partial(open_fence, strongest="data limit"))
    drop_records(settings, "train/fold_00")

    with pytest.raises(StageError, match=r"refused by the memory fence.* please report that"):
        sw.run(settings, memory=BUDGET)


def test_a_stage_killed_from_outside_is_explained_and_the_run_continues(
    finished_run: tuple[Path, dict[str, Any]], settings: dict[str, Any]
) -> None:
    drop_records(settings, "train/fold_01", "predict/fold_01")
    folder = Path(settings["output"])

    def kill() -> None:
        while not (folder / ".heartbeat.json").exists():
            time.sleep(0.01)
        os.kill(descendants(os.getpid())[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(StageError, match=r"killed by signal 9 .* The same command continues"):
        sw.run(settings, memory=BUDGET)
    killer.join()
    sw.run(settings, memory=BUDGET)

    for name in ("models/fold_01/model.safetensors", "predictions/fold_01.parquet", "backtest/table_0000.parquet"):
        assert (folder / name).read_bytes() == (finished_run[0] / name).read_bytes()
    assert {p.name for p in folder.iterdir() if p.name.startswith(".")} == {".lock"}


def test_what_a_kill_left_of_a_file_being_written_is_no_output(tmp_path: Path) -> None:
    model = tmp_path / "models" / "fold_00"
    model.mkdir(parents=True)
    for name in ("model.safetensors", ".model.safetensors.tmp"):
        (model / name).touch()

    assert output_files(Unit("train", 0), tmp_path, tmp_path / "x.panel") == [model / "model.safetensors"]


def test_more_than_a_hundred_folds_stay_in_order_of_time(tmp_path: Path) -> None:
    for fold in (101, 0, 9, 100, 10, 99):
        (tmp_path / f"fold_{fold:02d}.parquet").touch()

    numbers = [int(path.stem.removeprefix("fold_")) for path in Predictions(tmp_path).paths]

    assert numbers == [0, 9, 10, 99, 100, 101]
