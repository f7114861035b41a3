"""Samples weighed by the spread of their entity: pandas is the judge, and later rows move nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seawall.stores.panel import Panel
from seawall.train.entity_weights import entity_weights
from seawall.train.folds_file import read_fold
from seawall.train.run import fit_fold, make_folds_record
from seawall.train.segments import train_samples
from seawall.windows.gather import Beside, Gather
from tests.train.worlds import World, change_from, planted_world, small_config

CONFIG = small_config(entity_weights="inverse_variance", max_epochs=1, loss={"kind": "mse"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = planted_world(tmp_path_factory.mktemp("weights"))
    make_folds_record(world.panel, CONFIG, world.folds)
    return world


def weights(world: World) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    panel = Panel(world.panel)
    return entity_weights(panel, train_samples(panel, read_fold(world.folds, 0), CONFIG), 0, 0.02)


def test_weights_are_those_of_the_deviation_over_train(world: World) -> None:
    panel = Panel(world.panel)
    samples = train_samples(panel, read_fold(world.folds, 0), CONFIG)
    rows = samples.rows(np.arange(samples.num_samples))
    frame = pd.DataFrame({"entity": panel.entity_of(rows), "target": panel.targets[rows, 0].astype(np.float64)})
    spread = frame.groupby("entity")["target"].std(ddof=0) / 0.02

    found = weights(world)

    np.testing.assert_allclose(found[spread.index], 1 / (spread + 0.1) ** 2, rtol=1e-6)
    assert len(found) == panel.shape.num_entities


def test_targets_known_later_than_train_move_no_weight(world: World, tmp_path: Path) -> None:
    copy, before = world.copy(tmp_path / "copy"), weights(world)

    change_from(copy.panel, read_fold(world.folds, 0).valid[0])

    make_folds_record(copy.panel, CONFIG, copy.folds)
    np.testing.assert_array_equal(before, weights(copy))


def test_a_batch_carries_the_weight_of_its_entities(world: World) -> None:
    panel, of_entity = Panel(world.panel), weights(world)
    rows = np.array([40, 300, 700])

    found = Gather(panel, 4, targets=(0,), beside=Beside(entity_weight=of_entity)).batch(rows).weight

    assert found is not None
    np.testing.assert_array_equal(found, of_entity[panel.entity_of(rows)])


def test_weights_change_what_is_learnt_and_nothing_else(world: World, tmp_path: Path) -> None:
    plain = CONFIG.model_copy(update={"entity_weights": "none"})
    fit_fold(world.panel, world.folds, 0, CONFIG, tmp_path / "weighed")
    fit_fold(world.panel, world.folds, 0, plain, tmp_path / "plain")

    assert (tmp_path / "weighed/scaler.json").read_bytes() == (tmp_path / "plain/scaler.json").read_bytes()
    assert (tmp_path / "weighed/model.safetensors").read_bytes() != (tmp_path / "plain/model.safetensors").read_bytes()
    assert "entity_weights" not in plain.semantic()
