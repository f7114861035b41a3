"""Choices are checked where they are written, and planning needs no heavy library."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from seawall.losses.config import HuberConfig, MseConfig
from seawall.train.config import ADDED_LATER, FoldsConfig, TrainConfig

FOLDS = {"train": "4Y", "valid": "6M", "test": "6M"}


def test_a_short_config_is_filled_with_defaults() -> None:
    config = TrainConfig.model_validate({"target": "fwd", "folds": FOLDS})

    assert config.loss == HuberConfig()
    assert config.model.kind == "lstm_attention"
    assert config.folds.step is None


def test_the_loss_is_chosen_by_kind() -> None:
    config = TrainConfig.model_validate({"target": "fwd", "folds": FOLDS, "loss": {"kind": "mse"}})

    assert config.loss == MseConfig()


@pytest.mark.parametrize("length", [0, -3, "6Q", "M", "", 1.5, True, "06M"])
def test_a_length_that_is_none_is_refused_with_an_example(length: object) -> None:
    with pytest.raises(ValidationError, match="a span such as 4y, 6mo, 13w or 90d"):
        FoldsConfig.model_validate({**FOLDS, "train": length})


def test_folds_are_given_by_lengths_or_by_dates_and_never_by_both() -> None:
    dated = {"dates": [{"train": ["2018-01-02", "2018-10-31"], "valid_to": "2018-12-31", "test_to": "2019-03-27"}]}

    assert FoldsConfig.model_validate(dated).dates[0].test_to == "2019-03-27"
    with pytest.raises(ValidationError, match="valid: Field required, or give dates"):
        FoldsConfig.model_validate({"train": 10})
    with pytest.raises(ValidationError, match="explicit folds take no lengths"):
        FoldsConfig.model_validate(dated | FOLDS)


def test_a_pool_that_is_no_size_is_refused() -> None:
    with pytest.raises(ValidationError, match="pool"):
        TrainConfig.model_validate({"target": "fwd", "folds": FOLDS, "pool": "64MB"})


@pytest.mark.parametrize(
    "change", [{"dropout": 0.5}, {"learning_rate": 0.0}, {"learning_rate": float("inf")}, {"model": {"kind": "tcn"}}]
)
def test_unknown_keys_and_values_out_of_range_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainConfig.model_validate({"target": "fwd", "folds": FOLDS, **change})


def test_how_often_is_saved_is_no_part_of_what_a_model_is() -> None:
    config = TrainConfig.model_validate({"target": "fwd", "folds": FOLDS})

    left_out = {"checkpoint_seconds", "report_minutes", "preset", "trackers", "baselines"}
    assert set(config.model_dump()) - set(config.semantic()) == left_out | set(ADDED_LATER)  # as it was before
    assert config.model_copy(update={"weighted": False}).semantic() != config.semantic()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("seawall.train.config, seawall.train.memory", ["numpy", "torch", "pyarrow"]),
        ("seawall.train.run", ["torch"]),
    ],
)
def test_planning_and_cutting_folds_do_not_load_what_they_do_not_need(module: str, absent: list[str]) -> None:
    script = f"import sys, {module}; print(sorted(set({absent!r}) & set(sys.modules)))"

    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
