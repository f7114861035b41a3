"""Predictions: one per test row, in order of time, in the unit of the target."""

from pathlib import Path

import numpy as np
import pytest

from seawall.errors import FormatError, ResumeError
from seawall.metrics import information_coefficient
from seawall.stores.panel import Panel
from seawall.stores.predictions import PredictionStore
from seawall.train.folds_file import read_fold
from seawall.train.predict import predict_fold
from seawall.train.segments import predicted_samples
from tests.train.worlds import World, planted_world, small_config

CONFIG = small_config(max_epochs=15, patience=15, model={"hidden_size": 8, "dropout": 0.0})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = planted_world(tmp_path_factory.mktemp("world"))
    world.fit(CONFIG)
    predict_fold(world.panel, world.folds, 0, CONFIG, world.model, world.predictions)
    return world


def test_every_legal_test_row_is_predicted_once_in_order_of_time_and_entity(world: World) -> None:
    panel = Panel(world.panel)
    store = PredictionStore(world.predictions)

    rows = np.concatenate([batch.row for batch in store.batches()])

    expected = np.concatenate(list(predicted_samples(panel, read_fold(world.folds, 0), CONFIG).blocks()))
    assert sorted(rows.tolist()) == expected.tolist()
    keys = list(zip(panel.time_index[rows].tolist(), rows.tolist(), strict=True))
    assert keys == sorted(keys)
    assert store.target == "fwd"


def test_predictions_are_in_the_unit_of_the_target_and_follow_the_signal(world: World) -> None:
    panel = Panel(world.panel)
    batches = list(PredictionStore(world.predictions).batches())
    rows = np.concatenate([batch.row for batch in batches])
    predictions = np.concatenate([batch.prediction for batch in batches])

    target = panel.targets[rows, 0]

    known = ~np.isnan(target)
    assert information_coefficient(predictions[known], target[known]) > 0.5
    slope = np.polyfit(predictions[known], target[known], 1)[0]
    assert 0.5 < slope < 2.0


def test_rows_whose_target_is_never_known_are_predicted_too(world: World, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"folds": CONFIG.folds.model_copy(update={"train": 80})})
    other = world.copy(tmp_path)
    other.fit(config)

    summary = predict_fold(other.panel, other.folds, 0, config, other.model, other.predictions)

    panel = Panel(other.panel)
    rows = np.concatenate([batch.row for batch in PredictionStore(other.predictions).batches()])
    assert summary["num_rows"] == len(rows)
    assert np.isnan(panel.targets[rows, 0]).any()
    assert panel.time_index[rows].max() == panel.shape.num_dates - 1


def test_reading_at_random_changes_no_bit(world: World, tmp_path: Path) -> None:
    predict_fold(world.panel, world.folds, 0, CONFIG, world.model, tmp_path, random_access=True)

    expected = (world.predictions / "fold_00.parquet").read_bytes()
    assert (tmp_path / "fold_00.parquet").read_bytes() == expected


def test_a_model_of_another_lookback_or_target_is_refused(world: World, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"lookback_periods": 5})

    with pytest.raises(ResumeError, match="trained with another lookback_periods, found 4, allowed: 5"):
        predict_fold(world.panel, world.folds, 0, config, world.model, tmp_path)


def test_a_folder_without_a_finished_model_is_refused(world: World, tmp_path: Path) -> None:
    for name in ("model.safetensors", "scaler.json"):
        (tmp_path / name).write_bytes((world.model / name).read_bytes())

    with pytest.raises(FormatError, match=r"no finished model.*Train the fold again"):
        predict_fold(world.panel, world.folds, 0, CONFIG, tmp_path, tmp_path / "p")


@pytest.mark.parametrize("name", ["model.safetensors", "scaler.json", "model.json"])
def test_a_damaged_model_file_is_refused(world: World, tmp_path: Path, name: str) -> None:
    for path in world.model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-20])

    with pytest.raises(FormatError):
        predict_fold(world.panel, world.folds, 0, CONFIG, tmp_path, tmp_path / "p")
