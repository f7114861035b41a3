"""Claims of predicting with several models and targets hold, and are not fat, where a row group has many columns."""

import json
from pathlib import Path

import pytest

from seawall.stores.shape import read_shape
from seawall.train.config import TrainConfig
from seawall.train.members_memory import plan_predict_members
from seawall.units import GIB
from tests.train.test_memory import FOLDS, PREDICT, SHAPE, START, assert_two_sided, peak_bytes
from tests.train.worlds import OUTPUTS, walkers_world

FIT_ALL = """
from seawall.train.members import of_member, trained_members
from seawall.train.run import fit_fold
for member in trained_members(config):
    fit_fold(panel, folds, 0, of_member(config, member), model / member)
"""

SEQUENCE = {
    "lookback_periods": 100,
    "model": {"kind": "lstm", "output": "sequence", "hidden_size": 8},
    "sequence": {"stride_periods": 25, "reduce": "mean"},
    "predict_batch_size": 16,
}
CHOICES: dict[str, dict[str, object]] = {
    "20 targets with baselines": {"baselines": ["mean", "last_value", "ridge"]},
    "20 targets of three seeds": {"seeds": 3},
    "20 targets at every step, with baselines": {**SEQUENCE, "baselines": ["mean", "last_value", "ridge"]},
    "20 targets at every step, of two seeds": {**SEQUENCE, "seeds": 2, "baselines": ["last_value"]},
    "one target with baselines": {"targets": OUTPUTS[:1], "baselines": ["mean", "last_value", "ridge"]},
}


def test_a_further_baseline_is_claimed_by_the_values_of_a_row_group_and_seeds_by_what_averages_them() -> None:
    def claimed(**choices: object) -> int:
        values = {"targets": OUTPUTS, "folds": {"train": 60, "valid": 20, "test": 20}, **choices}
        plan = plan_predict_members(TrainConfig.model_validate(values), SHAPE, 500_000, GIB)
        return sum(claim.bytes for claim in plan.private if claim.purpose == "columns beside")

    assert claimed(baselines=["mean"]) == 65_536 * 20 * 8
    assert claimed(baselines=["mean", "ridge"]) == 65_536 * 20 * 16
    assert claimed(seeds=2) == 65_536 * 20 * (3 * 8 + 32)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", CHOICES)
def test_predicting_many_columns_stays_under_its_claim_and_the_claim_is_not_fat(tmp_path: Path, name: str) -> None:
    world = walkers_world(tmp_path, num_dates=23_000)
    values: dict[str, object] = {
        "targets": OUTPUTS,
        "lookback_periods": 4,
        "folds": {"train": 600, "valid": 200, "test": 22_000},
        "model": {"kind": "lstm", "hidden_size": 8},
        "max_epochs": 1,
        "device": "cpu",
    }
    config, shape = TrainConfig.model_validate(values | CHOICES[name]), read_shape(world.panel)
    paths = [str(path) for path in (world.panel, world.folds, world.model, world.predictions)]
    peak_bytes(START + FOLDS + FIT_ALL, paths, config)

    measured_bytes = peak_bytes(START + PREDICT, paths, config)

    num_samples = json.loads(world.folds.read_text())["folds"][0]["test"]["num_samples"]
    assert num_samples > 65_536
    assert_two_sided(plan_predict_members(config, shape, num_samples, GIB), measured_bytes)
