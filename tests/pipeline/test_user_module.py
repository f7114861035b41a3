"""A module of the user's own from plan to predictions of saved models: one plan, other code trains again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import seawall as sw
from seawall.budget.limits import find_budget
from seawall.errors import ConfigError
from seawall.pipeline.config import parse_config
from seawall.pipeline.listener import Silent
from seawall.pipeline.probe_model import PLACE, with_source
from seawall.pipeline.run import Runner
from seawall.pipeline.stages import Unit, config_part
from tests.support import make_panel

BUDGET = "2GiB"  # pytest is the parent here, and all it holds counts
FILE = Path(__file__).parent.parent / "models" / "own_networks.py"


def settings(folder: Path, name: str = "Mlp") -> dict[str, Any]:
    return {
        "output": str(folder / "run"),
        "panel": str(folder / "world.panel"),
        "folds_at_once": 1,
        "train": {
            "target": "fwd",
            "lookback_periods": 4,
            "folds": {"train": 60, "valid": 20, "test": 20},
            "model": {"kind": "module", "target": f"{folder / 'mine.py'}:{name}", "arguments": {"width": 5}},
            "max_epochs": 1,
        },
        "evaluate": {"min_names": 3},
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    make_panel(folder, num_dates=110)
    shutil.copy(FILE, folder / "mine.py")
    for stage in ("folds", "train", "predict"):
        sw.run(settings(folder), memory=BUDGET, only=stage)
    return folder


def units(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run" / "run.json").read_text())["units"]
    return found


def planned(folder: Path) -> Runner:
    config = parse_config(settings(folder), "here")
    runner = Runner(config, find_budget(BUDGET), Silent())
    runner.plan()
    return runner


def test_the_run_keeps_to_the_plan_that_the_probe_gives(run: Path) -> None:
    train = units(run)["train/fold_00"]
    assert train["measured_private_bytes"] <= train["projected_private_bytes"]
    plan = json.loads((run / "run" / "plan.json").read_text())
    measured = plan["resolved"][PLACE]
    assert measured["num_parameters"] == 3 * 5 + 5 + 5 + 1
    shutil.move(run / "run" / "plan.json", run / "plan.json")
    anew = planned(run)
    shutil.move(run / "plan.json", run / "run" / "plan.json")
    assert anew.resolved[PLACE] == measured, "measured again, it is the same"
    record = json.loads((run / "run" / "models" / "fold_00" / "model.json").read_text())
    assert record["config"]["model"]["measured"] == measured


def test_saved_models_predict_with_the_code_they_were_trained_with_and_no_other(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "run" / "models", tmp_path / "models")
    command = [sys.executable, "-m", "seawall", "predict", "--models", str(tmp_path / "models")]
    command += ["--panel", str(run / "world.panel"), "--memory", "1GiB"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours, theirs = (folder / "predictions" / "fold_00.parquet" for folder in (tmp_path, run / "run"))
    assert ours.read_bytes() == theirs.read_bytes()

    shutil.rmtree(tmp_path / "predictions")
    (tmp_path / "run.json").unlink()
    text = (run / "mine.py").read_text()
    try:
        (run / "mine.py").write_text(text + "\n# another\n")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        (run / "mine.py").write_text(text)
    assert done.returncode == 2, done.stdout
    assert "the code has changed since this model was planned" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_other_code_or_arguments_are_another_model_and_the_same_are_not(run: Path) -> None:
    def part(**arguments: int) -> dict[str, Any]:
        values = settings(run)
        values["train"]["model"]["arguments"] |= arguments
        return config_part(Unit("train", 0), with_source(parse_config(values, "here")))

    first, text = part(), (run / "mine.py").read_text()
    assert first == part() != part(width=6)
    try:
        (run / "mine.py").write_text(text + "\n# another\n")
        assert part() != first
    finally:
        (run / "mine.py").write_text(text)


def test_a_module_that_breaks_the_contract_is_told_by_plan_before_anything_is_written(run: Path) -> None:
    config = parse_config(settings(run, "Neighbours") | {"output": str(run / "other")}, "here")
    with pytest.raises(ConfigError, match="depends on the other samples of its batch"):
        Runner(config, find_budget(BUDGET), Silent()).plan()
    assert not (run / "other").exists()


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_lightning_module_trains_and_predicts_inside_its_claims(run: Path, tmp_path: Path, ranks: int) -> None:
    pytest.importorskip("pytorch_lightning", reason="the extra lightning is not installed")
    values = settings(run) | {"output": str(tmp_path / "run")}
    model = {"kind": "module", "target": f"{FILE.with_name('lightning_nets.py')}:Lit"}
    values["train"] |= {"model": model, "ranks": ranks, "device": "cpu"}
    sw.run(values, memory=BUDGET)
    done = json.loads((tmp_path / "run" / "run.json").read_text())["units"]
    for name, unit in done.items():
        claimed, measured = unit["projected_private_bytes"], unit["measured_private_bytes"]
        assert measured <= claimed <= 1.5 * measured + 2**25, name
    assert "train/fold_00" in done
