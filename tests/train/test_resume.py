"""Training stopped at every step, prediction stopped at every batch: what comes out is the same to the last bit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seawall.budget.heartbeat import Beat
from seawall.train.config import TrainConfig
from seawall.train.predict import predict_fold
from seawall.train.run import fit_fold
from tests.train.worlds import World, planted_world, small_config


class Stopped(Exception):
    """The kill that a test injects."""


class StopAtEveryBeat:
    """Stop the first time each position is reported, so every run gets one position further."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()
        self.num_stops = 0

    def __call__(self, substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        if (substep, done) not in self.seen:
            self.seen.add((substep, done))
            self.num_stops += 1
            raise Stopped


def until_done(act: Callable[[Beat], object], beat: StopAtEveryBeat) -> None:
    while True:
        try:
            act(beat)
        except Stopped:
            continue
        return


def model_files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("model.safetensors", "scaler.json", "model.json")}


def history(folder: Path) -> list[dict[str, object]]:
    epochs = json.loads((folder / "history.json").read_text())["epochs"]
    return [
        {key: value for key, value in epoch.items() if key not in ("seconds", "loader_wait_seconds")}
        for epoch in epochs
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = planted_world(tmp_path_factory.mktemp("world"))
    world.fit(small_config())
    return world


@pytest.mark.parametrize("checkpoint_seconds", [0.0, 300.0], ids=["at every step", "at the end of epochs"])
def test_training_stopped_at_every_step_gives_the_same_model(
    world: World, tmp_path: Path, checkpoint_seconds: float
) -> None:
    config, beat = small_config(checkpoint_seconds=checkpoint_seconds), StopAtEveryBeat()

    until_done(lambda beat: fit_fold(world.panel, world.folds, 0, config, tmp_path, beat=beat), beat)

    assert beat.num_stops > 3 * 10
    assert model_files(tmp_path) == model_files(world.model)
    assert history(tmp_path) == history(world.model)
    assert not (tmp_path / "checkpoint.pt").exists()


def stop_after_steps(world: World, folder: Path, config: TrainConfig, num_steps: int) -> None:
    num_left = num_steps

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        nonlocal num_left
        num_left -= "train" in substep
        if num_left == 0:
            raise Stopped

    with pytest.raises(Stopped):
        fit_fold(world.panel, world.folds, 0, config, folder, beat=beat)


def steps_taken(world: World, folder: Path, config: TrainConfig) -> int:
    num_steps = 0

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        nonlocal num_steps
        num_steps += "train" in substep

    fit_fold(world.panel, world.folds, 0, config, folder, beat=beat)
    return num_steps


def test_a_checkpoint_continues_at_the_next_step(world: World, tmp_path: Path) -> None:
    config = small_config(checkpoint_seconds=0.0)
    whole = steps_taken(world, tmp_path / "whole", config)
    stop_after_steps(world, tmp_path / "stopped", config, 5)

    assert steps_taken(world, tmp_path / "stopped", config) == whole - 5


@pytest.mark.parametrize("damage", ["other config", "truncated", "not a checkpoint", "other tensors"])
def test_a_checkpoint_that_does_not_belong_is_not_continued(world: World, tmp_path: Path, damage: str) -> None:
    config = small_config(checkpoint_seconds=0.0)
    stop_after_steps(
        world, tmp_path, small_config(checkpoint_seconds=0.0, seed=9 if damage == "other config" else 0), 5
    )
    checkpoint = tmp_path / "checkpoint.pt"
    if damage == "truncated":
        checkpoint.write_bytes(checkpoint.read_bytes()[:-300])
    if damage == "not a checkpoint":
        checkpoint.write_bytes(b"not a checkpoint")
    if damage == "other tensors":
        torch.save([torch.zeros(3)], checkpoint)

    fit_fold(world.panel, world.folds, 0, config, tmp_path)

    assert model_files(tmp_path) == model_files(world.model)


def test_how_often_is_saved_does_not_make_it_another_training(world: World, tmp_path: Path) -> None:
    stop_after_steps(world, tmp_path, small_config(checkpoint_seconds=0.0), 5)
    whole = steps_taken(world, tmp_path / "whole", small_config())

    assert steps_taken(world, tmp_path, small_config(checkpoint_seconds=7.0)) == whole - 5


def prediction_bytes(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "fold_00.parquet").read_bytes(), (folder / "fold_00.json").read_bytes()


def test_prediction_stopped_at_every_batch_gives_the_same_file(world: World, tmp_path: Path) -> None:
    config, beat = small_config(), StopAtEveryBeat()
    predict_fold(world.panel, world.folds, 0, config, world.model, tmp_path / "whole")

    until_done(
        lambda beat: predict_fold(world.panel, world.folds, 0, config, world.model, tmp_path / "cut", beat=beat), beat
    )

    assert beat.num_stops > 5
    assert prediction_bytes(tmp_path / "cut") == prediction_bytes(tmp_path / "whole")
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == ["fold_00.json", "fold_00.parquet"]


def test_finished_batches_are_not_predicted_again(world: World, tmp_path: Path) -> None:
    config = small_config()

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        if substep == "predict" and done == 96:
            raise Stopped

    with pytest.raises(Stopped):
        predict_fold(world.panel, world.folds, 0, config, world.model, tmp_path, beat=beat)

    summary = predict_fold(world.panel, world.folds, 0, config, world.model, tmp_path)

    assert summary["num_computed"] == summary["num_rows"] - 96


def test_slots_of_another_model_are_not_used(world: World, tmp_path: Path) -> None:
    config = small_config()

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        if substep == "write predictions":
            raise Stopped

    with pytest.raises(Stopped):
        predict_fold(world.panel, world.folds, 0, config, world.model, tmp_path / "p", beat=beat)
    fit_fold(world.panel, world.folds, 0, small_config(seed=4), tmp_path / "other")

    summary = predict_fold(world.panel, world.folds, 0, small_config(seed=4), tmp_path / "other", tmp_path / "p")

    assert summary["num_computed"] == summary["num_rows"]
