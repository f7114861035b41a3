"""Sample weights in training: all ones change nothing, zeros leave samples out of every step."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from seawall.arrays import Float32
from seawall.stores.panel import Panel
from seawall.stores.panel_writer import ColumnSpec, PanelSpec, PanelWriter
from seawall.train.artefacts import read_model
from seawall.train.folds_file import read_fold
from seawall.train.run import make_folds_record
from seawall.train.segments import train_samples, valid_samples
from tests.train.worlds import World, edit, planted_world, small_config


def with_weights(world: World, folder: Path, weights: Float32) -> World:
    """Write the same panel with weights beside it."""
    panel = Panel(world.panel)
    columns = tuple(ColumnSpec(**column) for column in panel.manifest["columns"])
    spec = PanelSpec(
        calendar_kind=panel.calendar_kind,
        columns=(*columns, ColumnSpec("weight", "weights", "float32")),
        targets=panel.target_specs,
    )
    folder.mkdir()
    made = World(folder)
    with PanelWriter(made.panel, spec, panel.calendar) as writer:
        writer.add_entities(panel.entities, np.diff(panel.offsets).tolist())
        arrays = {name: np.array(getattr(panel, name)) for name in spec.arrays if name != "weights"}
        writer.append_rows(arrays | {"weights": weights})
        writer.finish(sources=[], ingest={}, slab_bytes=10**6)
    return made


def fitted(world: World, **choices: object) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    summary = world.fit(small_config(**choices))
    module = read_model(world.model).module
    return {name: value.numpy() for name, value in module.state_dict().items()}, summary


@pytest.fixture
def world(tmp_path: Path) -> World:
    return planted_world(tmp_path)


@pytest.mark.parametrize("choices", [{}, {"order": "blocks", "pool": "1MiB"}], ids=["shuffle", "blocks"])
def test_weights_of_one_give_the_same_model_to_the_last_bit(
    world: World, tmp_path: Path, choices: dict[str, object]
) -> None:
    num_rows = Panel(world.panel).shape.num_rows
    plain, plain_told = fitted(world, **choices)
    ones, told = fitted(with_weights(world, tmp_path / "ones", np.ones(num_rows, np.float32)), **choices)
    assert told["valid_loss"] == plain_told["valid_loss"]
    assert told["train_loss"] == plain_told["train_loss"]
    for name, value in plain.items():
        np.testing.assert_array_equal(ones[name], value, err_msg=name)


def test_a_weight_of_zero_leaves_a_sample_out_and_may_be_turned_off(world: World, tmp_path: Path) -> None:
    """What a sample of weight 0 is to learn may be anything: neither the steps nor the valid loss see it."""
    num_rows = Panel(world.panel).shape.num_rows
    weights = np.where(np.arange(num_rows) % 3 == 0, 0.0, 1.0).astype(np.float32)
    first = with_weights(world, tmp_path / "first", weights)
    shutil.copytree(first.folder, tmp_path / "other")
    other = World(tmp_path / "other")
    panel = Panel(first.panel)
    config = small_config()
    make_folds_record(first.panel, config, first.folds)
    fold = read_fold(first.folds, 0)

    def swap(values: np.ndarray) -> None:
        """Deal targets anew among the samples left out of train, and of valid: the scaler sees the same numbers."""
        for samples in (train_samples(panel, fold, config), valid_samples(panel, fold, config)):
            rows = np.concatenate(list(samples.blocks()))
            places = rows[weights[rows] == 0]
            values[places, 0] = values[places[::-1], 0]

    edit(other.panel, "targets", "<f4", (-1, 1), swap)
    same, told = fitted(first)
    changed, changed_told = fitted(other)
    assert told["valid_loss"] == changed_told["valid_loss"]
    for name, value in same.items():
        np.testing.assert_array_equal(changed[name], value, err_msg=name)
    seen, _ = fitted(other, weighted=False)
    ignored, _ = fitted(first, weighted=False)
    unweighted, _ = fitted(world)
    assert any((seen[name] != value).any() for name, value in ignored.items()), "the targets were changed indeed"
    for name, value in unweighted.items():
        np.testing.assert_array_equal(ignored[name], value, err_msg=name)
    assert any((same[name] != value).any() for name, value in ignored.items())
