"""Several targets in one model: each scaled, judged, predicted and traded by itself."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from seawall.errors import ConfigError
from seawall.evaluate.config import EvaluateConfig
from seawall.evaluate.run import evaluate
from seawall.join.config import JoinConfig
from seawall.join.run import join
from seawall.metrics import information_coefficient
from seawall.stores.panel import Panel
from seawall.stores.predictions import PredictionStore, write_fold
from seawall.stores.scalers import load_scaler
from seawall.train.config import TrainConfig
from seawall.train.folds_file import read_fold
from seawall.train.predict import predict_fold
from seawall.train.segments import train_samples
from tests.train.worlds import HORIZONS, World, change_from, small_config, three_target_config, three_target_world

CONFIG = three_target_config(max_epochs=12, patience=12, model={"hidden_size": 8, "dropout": 0.0})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = three_target_world(tmp_path_factory.mktemp("world"))
    world.fit(CONFIG)
    predict_fold(world.panel, world.folds, 0, CONFIG, world.model, world.predictions)
    return world


def test_each_target_has_a_column_that_follows_it_in_its_own_unit(world: World) -> None:
    panel = Panel(world.panel)
    table = pq.read_table(world.predictions / "fold_00.parquet")

    assert table.column_names == ["row", "time", "entity", "fold", *(f"prediction_{name}" for name in HORIZONS)]
    for number, name in enumerate(HORIZONS):
        store = PredictionStore(world.predictions, name)
        batch = next(store.batches())
        target = panel.targets[batch.row, number]
        known = ~np.isnan(target)
        assert store.targets == tuple(HORIZONS)
        assert information_coefficient(batch.prediction[known], target[known]) > 0.5, name
        assert 0.4 < np.polyfit(batch.prediction[known], target[known], 1)[0] < 2.5, name


def test_a_store_of_several_targets_gives_the_first_unless_told(world: World) -> None:
    assert PredictionStore(world.predictions).target == "short"
    with pytest.raises(ConfigError, match="Did you mean 'long'"):
        PredictionStore(world.predictions, "lnog")


def test_each_target_has_a_scale_of_its_own(world: World) -> None:
    scaler = load_scaler(world.model / "scaler.json")

    assert [scale.name for scale in scaler.targets] == list(HORIZONS)
    assert [round(scale.std, 2) for scale in scaler.targets] == [0.01, 0.05, 0.02]


def test_the_target_that_ends_last_purges(world: World) -> None:
    panel, fold = Panel(world.panel), read_fold(world.folds, 0)
    rows = np.concatenate(list(train_samples(panel, fold, CONFIG).blocks()))

    assert int(panel.target_end[rows].max()) == fold.valid[0] - 1
    alone = small_config(target="short")
    assert train_samples(panel, fold, alone).num_samples == train_samples(panel, fold, CONFIG).num_samples + 9 * 14


def test_every_target_is_judged_and_the_asked_one_comes_first(world: World, tmp_path: Path) -> None:
    config = EvaluateConfig(min_names=5, target="long")
    summary = evaluate(world.panel, world.predictions, tmp_path, config)
    record = json.loads((tmp_path / "metrics.json").read_text())

    assert summary["target"] == "long"
    assert [other["target"] for other in summary["other_targets"]] == ["short", "odd"]
    for name in ("short", "odd"):
        evaluate(world.panel, world.predictions, tmp_path / name, config.model_copy(update={"target": name}))
        own = json.loads((tmp_path / name / "metrics.json").read_text())
        own.pop("other_targets")
        assert own == next(other for other in record["other_targets"] if other["target"] == name)
    alone = (tmp_path / "odd" / "daily.parquet").read_bytes()
    assert (tmp_path / "daily_target_02.parquet").read_bytes() == alone


def test_the_join_carries_prediction_and_return_of_the_asked_target(world: World, tmp_path: Path) -> None:
    panel = Panel(world.panel)
    join(world.panel, world.predictions, tmp_path, JoinConfig(target="odd"))
    table = pq.read_table(tmp_path / "table_0000.parquet")

    rows = table.column("row").to_numpy()
    stored = pq.read_table(world.predictions / "fold_00.parquet").column("prediction_odd")
    assert table.column("prediction").to_numpy().tolist() == stored.to_numpy().tolist()
    np.testing.assert_array_equal(table.column("forward_return").to_numpy(), panel.returns[rows, 2])


def test_one_target_is_stored_as_it_always_was(world: World, tmp_path: Path) -> None:
    panel = Panel(world.panel)
    rows = np.arange(5)
    manifest = write_fold(
        tmp_path / "fold_00.parquet", panel, fold=0, rows=rows, predictions=np.ones(5, np.float32), target="short",
        model_key="k",
    )  # fmt: skip

    assert "targets" not in manifest
    assert "prediction" in pq.read_schema(tmp_path / "fold_00.parquet").names


def test_the_watched_target_decides_which_epoch_is_best(tmp_path: Path) -> None:
    for watched in HORIZONS:
        world = three_target_world(tmp_path / watched)
        world.fit(three_target_config(watch_target=watched, max_epochs=6, patience=6, learning_rate=0.05))
        history = json.loads((world.model / "history.json").read_text())
        losses = [epoch[f"valid_loss_{watched}"] for epoch in history["epochs"]]
        assert history["best_epoch"] == int(np.argmin(losses))


def test_no_target_of_a_later_date_moves_a_model(tmp_path: Path) -> None:
    first = three_target_world(tmp_path / "first")
    first.fit(three_target_config())
    other = first.copy(tmp_path / "other")
    change_from(other.panel, 80)
    other.fit(three_target_config())

    weights = [(world.model / "model.safetensors").read_bytes() for world in (first, other)]
    assert weights[0] == weights[1]


def test_a_config_names_one_target_or_several_each_once() -> None:
    values = small_config().model_dump(exclude={"target"})

    assert TrainConfig.model_validate(values | {"targets": ["a", "b"]}).target == "a"
    assert "targets" not in TrainConfig.model_validate(values | {"target": "a"}).semantic()
    for wrong in (
        {"target": "b", "targets": ["a", "b"]},
        {"targets": ["a", "a"]},
        {"target": "a", "watch_target": "b"},
    ):
        with pytest.raises(ValidationError):
            TrainConfig.model_validate(values | wrong)
