"""Static attributes and entities beside features: learnt from train alone, and read the same way ever after."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seawall.errors import DataError
from seawall.models.config import BranchLstmConfig, TcnAttentionConfig
from seawall.stores.panel import Panel
from seawall.train.artefacts import read_model
from seawall.train.config import TrainConfig
from seawall.train.folds_file import read_fold
from seawall.train.inputs import ModelInputs, fit_inputs, load_inputs
from seawall.train.predict import predict_fold
from seawall.train.run import fit_fold, make_folds_record
from seawall.train.segments import train_samples
from seawall.windows.samples import Samples
from tests.train.worlds import World, change_from, planted_world, small_config

TEST_START = 80
BRANCH = {"kind": "branch_lstm", "static": ["area", "slope"], "hidden_size": 4}
TCN = {"kind": "tcn_attention", "hidden_size": 8, "num_blocks": 2}
MODELS = {"lstm": {"kind": "lstm", "hidden_size": 4}, "branch_lstm": BRANCH, "tcn_attention": TCN}


class StoppedError(Exception):
    """Raised in place of a kill."""


def with_attributes(world: World, **columns: object) -> World:
    """Give each entity attributes: area 0, 1, 2, ..., slope missing for every third."""
    count = Panel(world.panel).shape.num_entities
    slope = [None if number % 3 == 2 else float(number * number) for number in range(count)]
    table = {"area": [float(number) for number in range(count)], "slope": slope, **columns}
    path = next(world.panel.glob("seg-*/entities.parquet"))
    names = pq.read_table(path)["entity"]
    pq.write_table(pa.table({"entity": names, **table}), path)
    return world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return with_attributes(planted_world(tmp_path_factory.mktemp("world")))


def copied(world: World, folder: Path) -> World:
    folder.mkdir()
    return world.copy(folder)


def config_of(kind: str) -> TrainConfig:
    return small_config(model=MODELS[kind], max_epochs=2)


@pytest.mark.parametrize("kind", MODELS)
def test_each_network_trains_and_predicts_by_its_name_and_never_looks_ahead(
    world: World, tmp_path: Path, kind: str
) -> None:
    ours, theirs = copied(world, tmp_path / "ours"), copied(world, tmp_path / "theirs")
    change_from(theirs.panel, TEST_START + 5)
    for each in (ours, theirs):
        each.fit(config_of(kind))
        predict_fold(each.panel, each.folds, 0, config_of(kind), each.model, each.predictions)

    first, second = (pq.read_table(each.predictions / "fold_00.parquet") for each in (ours, theirs))

    weights = [(each.model / "model.safetensors").read_bytes() for each in (ours, theirs)]
    assert weights[0] == weights[1]
    early = Panel(ours.panel).time_index[first["row"].to_numpy()] < TEST_START + 5
    mine, others = first["prediction"].to_numpy(), second["prediction"].to_numpy()
    np.testing.assert_array_equal(mine[early], others[early])
    assert (mine[~early] != others[~early]).all()
    assert early.any()


@pytest.mark.parametrize("kind", MODELS)
def test_a_stopped_training_ends_in_the_same_bytes(world: World, tmp_path: Path, kind: str) -> None:
    whole, stopped = copied(world, tmp_path / "whole"), copied(world, tmp_path / "stopped")
    whole.fit(config_of(kind))

    def stop(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        if substep == "epoch 1: train" and done == 3:
            raise StoppedError

    eager = config_of(kind).model_copy(update={"checkpoint_seconds": 0.0})
    make_folds_record(stopped.panel, eager, stopped.folds)
    with pytest.raises(StoppedError):
        fit_fold(stopped.panel, stopped.folds, 0, eager, stopped.model, beat=stop)
    stopped.fit(eager)

    names = {path.name for path in whole.model.iterdir()}
    assert ("inputs.json" in names) == (kind != "lstm")
    for name in names - {"history.json"}:
        assert (whole.model / name).read_bytes() == (stopped.model / name).read_bytes()


def test_attributes_are_in_units_of_the_entities_of_train_and_missing_ones_are_their_mean(
    world: World, tmp_path: Path
) -> None:
    panel = Panel(world.panel)
    world.copy(tmp_path).fit(config_of("branch_lstm"))

    inputs = load_inputs(tmp_path / "models" / "fold_00" / "inputs.json")
    static = inputs.beside(panel).static

    assert static is not None
    assert [column.name for column in inputs.static] == ["area", "slope"]
    np.testing.assert_allclose(static.mean(axis=0)[0], 0, atol=1e-6)
    np.testing.assert_allclose(static.std(axis=0)[0], 1, rtol=1e-6)
    slope = np.array(panel.attributes["slope"].to_pylist(), float)
    expected = (slope - np.nanmean(slope)) / np.nanstd(slope)
    np.testing.assert_allclose(static[:, 1], np.nan_to_num(expected), rtol=1e-5)


def test_an_entity_that_train_has_no_sample_of_changes_nothing_and_has_the_number_of_strangers(tmp_path: Path) -> None:
    world = with_attributes(planted_world(tmp_path))
    config = small_config(model=BRANCH, folds={"train": 60, "valid": 20, "test": 20})
    world.fit(config)
    panel, fold = Panel(world.panel), read_fold(world.folds, 0)
    train = train_samples(panel, fold, config)
    learnt = set(np.unique(panel.entity_of(np.concatenate(list(train.blocks())))).tolist())

    network = TcnAttentionConfig()
    inputs = fit_inputs(panel, train, network)
    strangers = ModelInputs((), inputs.entities[1:]).beside(panel).entity_numbers

    assert set(inputs.entities) == {panel.entities[number] for number in learnt}
    assert strangers is not None
    assert strangers[0] == 0
    assert strangers[1:].tolist() == list(range(1, len(strangers)))


def test_where_a_lookback_is_one_row_every_entity_of_a_run_counts(tmp_path: Path) -> None:
    world = planted_world(tmp_path)
    panel = Panel(world.panel)
    config = small_config(lookback_periods=1, folds={"train": 100, "valid": 10, "test": 10})
    world.fit(config)
    train = train_samples(panel, read_fold(world.folds, 0), config)

    inputs = fit_inputs(panel, train, TcnAttentionConfig())

    rows = np.concatenate(list(train.blocks()))
    assert inputs.entities == tuple(panel.entities[number] for number in np.unique(panel.entity_of(rows)))


def test_an_attribute_that_is_text_is_refused_by_name(tmp_path: Path) -> None:
    world = with_attributes(planted_world(tmp_path), land=["forest"] * 12)
    config = BranchLstmConfig(static=("area", "land"))

    with pytest.raises(DataError, match=r"model.static 'land': this attribute is text, allowed: numbers"):
        fit_inputs(Panel(world.panel), train_samples_of(world), config)


def train_samples_of(world: World) -> Samples:
    world.fit(small_config(max_epochs=1))
    return train_samples(Panel(world.panel), read_fold(world.folds, 0), small_config())


def test_weights_that_know_other_entities_are_another_model(world: World, tmp_path: Path) -> None:
    copy = world.copy(tmp_path)
    copy.fit(config_of("tcn_attention"))
    key = read_model(copy.model).key
    path = copy.model / "inputs.json"
    record = json.loads(path.read_text())
    record["entities"] = record["entities"][::-1]

    path.write_text(json.dumps(record))

    assert read_model(copy.model).key != key
