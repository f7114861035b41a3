import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import seawall as sw
from seawall.cli.predict import config_of_models
from seawall.errors import ConfigError, FormatError
from seawall.pipeline.saved import SavedModels
from tests.pipeline.world import market, write_market

BUDGET = "2GiB"  # pytest is the parent here, and all it holds counts


@pytest.fixture(scope="module")
def trained(
    finished_run: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("saved")
    shutil.copytree(finished_run[0], folder / "out")
    return folder, {**finished_run[1], "output": str(folder / "out")}


@pytest.fixture
def alone(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A folder with the models and the panel of a run, and nothing else of it."""
    run = trained[0] / "out"
    shutil.copytree(run / "models", tmp_path / "kept" / "models")
    shutil.copytree(run / "small.panel", tmp_path / "kept" / "small.panel")
    return tmp_path / "kept"


def predictions(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "predictions").glob("fold_*"))}


def test_models_and_a_panel_alone_predict_to_the_same_bytes(trained: tuple[Path, dict[str, Any]], alone: Path) -> None:
    command = [sys.executable, "-m", "seawall", "predict", "--models", str(alone / "models"), "--memory", "1GiB"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert predictions(alone) == predictions(trained[0] / "out")
    assert (alone / "folds.json").read_bytes() == (trained[0] / "out" / "folds.json").read_bytes()


def test_from_models_alone_one_gets_to_the_backtest_and_other_costs_train_nothing(
    trained: tuple[Path, dict[str, Any]], alone: Path, tmp_path: Path
) -> None:
    _, settings = trained
    later = {name: settings[name] for name in ("evaluate", "backtest")}
    whole = {"output": str(tmp_path / "again"), "panel": str(alone / "small.panel"), "models": str(alone / "models")}
    first = sw.run({**whole, **later}, memory=BUDGET)
    for name in ("top", "spread"):
        kept = trained[0] / "out" / "backtest" / name / "equity.parquet"
        assert (tmp_path / "again" / "backtest" / name / "equity.parquet").read_bytes() == kept.read_bytes()
    dear = {**later, "backtest": {**later["backtest"], "cost_bps": 40}}
    before = {name: unit["finished"] for name, unit in first.record["units"].items()}
    second = sw.run({**whole, **dear}, memory=BUDGET)

    assert not any(name.startswith("train") for name in second.record["units"])
    assert {"evaluate", "join", "backtest", "report"} <= set(second.record["units"])
    same = [name for name, unit in second.record["units"].items() if unit["finished"] == before[name]]
    assert {name for name in before if name.startswith("predict")} | {"folds", "evaluate", "join"} <= set(same)


def test_models_of_a_run_that_is_there_do_not_write_into_it(trained: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match="part of a run"):
        config_of_models(trained[0] / "out" / "models", None, None)


def test_on_a_longer_panel_a_model_predicts_from_its_own_test_on(
    trained: tuple[Path, dict[str, Any]], alone: Path, tmp_path: Path
) -> None:
    """A calendar that begins later cuts other folds: the dates in the models hold."""
    _, settings = trained
    frame = market()
    shorter = {**settings, "output": str(tmp_path / "short")}
    first = sorted(frame["date"].unique())[20]
    source = write_market(tmp_path / "short.csv", frame[frame["date"] >= first])
    shorter["ingest"] = {**settings["ingest"], "sources": [str(source)]}
    sw.run(shorter, memory=BUDGET, only="ingest")
    panel = str(tmp_path / "short" / "small.panel")
    again = {"output": str(tmp_path / "moved"), "panel": panel, "models": str(alone / "models")}
    sw.run(again, memory=BUDGET, only="folds")

    def tests(path: Path) -> list[tuple[str, str]]:
        folds = json.loads((path / "folds.json").read_text())["folds"]
        return [(fold["test"]["first_time"], fold["test"]["last_time"]) for fold in folds]

    assert tests(tmp_path / "moved") == tests(trained[0] / "out")


@pytest.mark.parametrize(
    ("spoil", "error", "text"),
    [
        (lambda models: shutil.rmtree(models / "fold_01"), FormatError, "a fold is missing"),
        (lambda models: (models / "fold_00" / "model.json").write_text("[]"), FormatError, "damaged record"),
        (lambda models: (models / "fold_00" / "model.json").unlink(), FormatError, "no finished model"),
        (shutil.rmtree, ConfigError, "no models here"),
    ],
)
def test_what_is_no_set_of_models_is_refused(alone: Path, spoil: Any, error: type[Exception], text: str) -> None:  # noqa: ANN401 - a callable
    spoil(alone / "models")

    with pytest.raises(error, match=text):
        SavedModels.read(alone / "models")


def test_a_train_section_that_disagrees_with_the_models_is_refused(
    trained: tuple[Path, dict[str, Any]], alone: Path, tmp_path: Path
) -> None:
    _, settings = trained
    path = tmp_path / "both.yaml"
    values = {"output": str(tmp_path / "both"), "panel": str(alone / "small.panel"), "models": str(alone / "models")}
    path.write_text(yaml.safe_dump({**values, "train": {**settings["train"], "seed": 99}}))

    with pytest.raises(ConfigError, match="trained with another config"):
        sw.run(path, memory=BUDGET)
