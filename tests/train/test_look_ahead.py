"""Change the future, and nothing before it moves: samples, scaler, weights, predictions."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from seawall.stores.panel import Panel
from seawall.train.folds_file import read_fold
from seawall.train.predict import predict_fold
from seawall.train.segments import train_samples, valid_samples
from tests.train.worlds import World, change_from, planted_world, small_config

VALID_START, TEST_START, TEST_STOP = 60, 80, 100


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = planted_world(tmp_path_factory.mktemp("world"))
    world.fit(small_config())
    predict_fold(world.panel, world.folds, 0, small_config(), world.model, world.predictions)
    return world


def changed(world: World, folder: Path, date: int) -> World:
    copy = world.copy(folder)
    change_from(copy.panel, date)
    copy.fit(small_config())
    return copy


def file(world: World, name: str) -> bytes:
    return (world.model / name).read_bytes()


def test_nothing_from_valid_on_reaches_train_samples_or_scaler(world: World, tmp_path: Path) -> None:
    other = changed(world, tmp_path, VALID_START)

    assert file(other, "scaler.json") == file(world, "scaler.json")
    fold = read_fold(world.folds, 0)
    ours, theirs = (train_samples(Panel(w.panel), fold, small_config()) for w in (world, other))
    np.testing.assert_array_equal(ours.first_rows, theirs.first_rows)
    np.testing.assert_array_equal(ours.before, theirs.before)
    rows = np.concatenate(list(ours.blocks()))
    np.testing.assert_array_equal(Panel(world.panel).targets[rows], Panel(other.panel).targets[rows])
    assert file(other, "history.json") != file(world, "history.json")  # valid scores are of valid values


def test_nothing_from_test_on_reaches_the_model(world: World, tmp_path: Path) -> None:
    other = changed(world, tmp_path, TEST_START)

    fold = read_fold(world.folds, 0)
    ours, theirs = (valid_samples(Panel(w.panel), fold, small_config()) for w in (world, other))
    np.testing.assert_array_equal(ours.before, theirs.before)
    assert file(other, "scaler.json") == file(world, "scaler.json")
    assert file(other, "model.safetensors") == file(world, "model.safetensors")


@pytest.mark.parametrize("date", [TEST_START + 1, 90, TEST_STOP - 1])
def test_no_prediction_moves_when_later_dates_change(world: World, tmp_path: Path, date: int) -> None:
    other = changed(world, tmp_path, date)
    predict_fold(other.panel, other.folds, 0, small_config(), other.model, other.predictions)

    ours, theirs = (pq.read_table(w.predictions / "fold_00.parquet") for w in (world, other))

    times = Panel(world.panel).time_index[ours["row"].to_numpy()]
    assert ours["row"].equals(theirs["row"])
    before = times < date
    mine, others = ours["prediction"].to_numpy(), theirs["prediction"].to_numpy()
    np.testing.assert_array_equal(mine[before], others[before])
    assert before.any()
    assert (mine[~before] != others[~before]).all()
