"""Reports on valid within an epoch: exact, told as they are made, and without a trace in the model."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from seawall.train.config import TrainConfig
from seawall.train.run import fit_fold, make_folds_record
from tests.train.worlds import World, planted_world, small_config

OFTEN = 1e-9

CLOCKS = {"seconds": 0, "loader_wait_seconds": 0}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return planted_world(tmp_path)


def _history(world: World) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((world.model / "history.json").read_text())
    return loaded


def _fit_told(world: World, config: TrainConfig) -> list[dict[str, float | None]]:
    told: list[dict[str, float | None]] = []

    def tell(report: Mapping[str, float | None]) -> None:
        told.append(dict(report))

    make_folds_record(world.panel, config, world.folds)
    fit_fold(world.panel, world.folds, 0, config, world.model, tell=tell)
    return told


def test_a_report_leaves_the_model_as_it_would_have_been(world: World, tmp_path: Path) -> None:
    world.fit(small_config(report_minutes=0))
    without = (world.model / "model.safetensors").read_bytes()
    assert _history(world)["reports"] == []
    other = world.copy(tmp_path / "other")
    other.fit(small_config(report_minutes=OFTEN))
    assert (other.model / "model.safetensors").read_bytes() == without
    assert _history(other)["reports"]
    first, second = _history(world)["epochs"], _history(other)["epochs"]
    assert [e | CLOCKS for e in first] == [e | CLOCKS for e in second]


def test_reports_come_after_steps_and_are_told_as_they_are_made(world: World) -> None:
    told = _fit_told(world, small_config(report_minutes=OFTEN))
    history = _history(world)
    reports, epochs = history["reports"], history["epochs"]
    assert len(told) == len(reports) + len(epochs)
    first_epoch = [report["step"] for report in reports if report["epoch"] == 0]
    assert first_epoch == list(range(1, len(first_epoch) + 1))
    numbers = {"train_loss", "valid_loss", "valid_ic", "valid_rank_ic", "learning_rate", *CLOCKS}
    numbers |= {"train_ic", "train_rank_ic"}
    numbers |= {f"valid_{name}" for name in ("mse", "mae", "r2", "pearson", "ccc")}
    assert set(reports[0]) == {"epoch", "step", *numbers}
    assert told[-1]["valid_loss"] == epochs[-1]["valid_loss"]


def test_with_a_step_that_moves_nothing_a_report_is_the_epochs_own(world: World) -> None:
    _fit_told(world, small_config(report_minutes=OFTEN, learning_rate=1e-300, weight_decay=0, max_epochs=1))
    history = _history(world)
    for report in history["reports"]:
        for number in ("valid_loss", "valid_ic", "valid_rank_ic", "train_ic", "train_rank_ic"):
            assert report[number] == history["epochs"][0][number], number


def test_when_reports_are_made_is_no_part_of_what_a_model_is() -> None:
    assert small_config(report_minutes=1).semantic() == small_config(report_minutes=0).semantic()
