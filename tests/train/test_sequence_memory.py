"""500 steps of 20 outputs: learnt and predicted in fresh processes, inside claims that are not fat."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from seawall.stores.panel import Panel
from seawall.stores.shape import read_shape
from seawall.train.config import TrainConfig
from seawall.train.memory import plan_fit, plan_predict
from seawall.units import GIB
from tests.train.test_memory import FIT, FOLDS, PREDICT, START, assert_two_sided, peak_bytes
from tests.train.worlds import OUTPUTS, World, walkers_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return walkers_world(tmp_path_factory.mktemp("motion"), num_dates=1500)


def motion_config(batch_size: int = 16, **choices: object) -> TrainConfig:
    values: dict[str, object] = {
        "targets": OUTPUTS,
        "lookback_periods": 500,
        "folds": {"train": 1000, "valid": 200, "test": 300},
        "model": {"kind": "lstm", "output": "sequence", "hidden_size": 16, "dropout": 0.0},
        "sequence": {"stride_periods": 25, "reduce": "mean"},
        "batch_size": batch_size,
        "predict_batch_size": batch_size,
        "max_epochs": 1,
        "device": "cpu",
    }
    return TrainConfig.model_validate(values | choices)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("batch_size", [16, pytest.param(64, marks=pytest.mark.slow)])
def test_500_steps_of_20_outputs_stay_under_their_claims(world: World, batch_size: int) -> None:
    config, shape = motion_config(batch_size), read_shape(world.panel)
    paths = [str(path) for path in (world.panel, world.folds, world.model, world.predictions)]
    peak_bytes(START + FOLDS, paths, config)
    fit, predict = (peak_bytes(START + act, paths, config) for act in (FIT, PREDICT))

    fold = json.loads(world.folds.read_text())["folds"][0]
    assert_two_sided(plan_fit(config, shape, fold["train"]["num_samples"], GIB), fit)
    assert_two_sided(plan_predict(config, shape, fold["test"]["num_samples"], GIB), predict)
    table = pq.read_table(world.predictions / "fold_00.parquet")
    assert table.num_rows == 3 * 300
    assert table.column_names[-20:] == [f"prediction_{name}" for name in OUTPUTS]


def test_what_is_planted_in_20_outputs_is_learnt_at_every_step(tmp_path: Path, world: World) -> None:
    config = motion_config(max_epochs=8, patience=8, learning_rate=0.03, sequence={"stride_periods": 10})
    copy = world.copy(tmp_path)
    copy.fit(config)
    history = json.loads((copy.model / "history.json").read_text())["epochs"]

    assert history[-1]["valid_loss"] < 0.6 * history[0]["valid_loss"]
    assert Panel(copy.panel).shape.num_targets == 20
