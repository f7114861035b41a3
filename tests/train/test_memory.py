"""Claims hold in fresh processes: measured at most projected, projected at most 1.5 times measured and 32 MiB."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seawall.budget.claims import StagePlan
from seawall.budget.processes import sample_tree
from seawall.stores.shape import PanelShape, read_shape
from seawall.train.config import TrainConfig
from seawall.train.memory import choose_train_order, plan_fit, plan_folds, plan_predict
from seawall.units import GIB, MIB
from tests.support import make_panel
from tests.train.worlds import World

CONFIG = TrainConfig.model_validate(
    {
        "target": "fwd",
        "folds": {"train": 300, "valid": 60, "test": 100},
        "model": {"hidden_size": 64},
        "max_epochs": 1,
        "device": "cpu",
    }
)
SHAPE = PanelShape(
    num_rows=540_000,
    num_entities=257,
    num_dates=2_700,
    num_features=12,
    num_targets=1,
    num_prices=4,
    max_rows_per_entity=2_700,
    max_rows_per_date=257,
)


START = """
import sys
from pathlib import Path
from seawall.train.config import TrainConfig
config = TrainConfig.model_validate_json(sys.argv[1])
panel, folds, model, predictions = map(Path, sys.argv[2:])
"""
FOLDS = """
from seawall.train.run import make_folds_record
make_folds_record(panel, config, folds)
"""
FIT = """
from seawall.train.run import fit_fold
fit_fold(panel, folds, 0, config, model)
assert not {"torch._dynamo", "torch._inductor"} & set(sys.modules), "torch's compiler costs 70 MiB"
"""
PREDICT = """
from seawall.train.predict import predict_fold
predict_fold(panel, folds, 0, config, model, predictions)
assert not {"torch._dynamo", "torch._inductor"} & set(sys.modules), "torch's compiler costs 70 MiB"
"""


def peak_bytes(script: str, arguments: list[str], config: TrainConfig = CONFIG) -> int:
    """Run a script in a fresh interpreter; give the highest anonymous memory seen every 2 ms."""
    command = [sys.executable, "-c", script, config.model_dump_json(), *arguments]
    highest = 0
    with subprocess.Popen(command) as child:
        while child.poll() is None:
            for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    highest = max(highest, int(line.split()[1]) * 1024)
            time.sleep(0.002)
        assert child.returncode == 0
    return highest


def assert_two_sided(plan: StagePlan, measured_bytes: int) -> None:
    projected_bytes = plan.projected_private_bytes
    print(f"{plan.stage}: projected {projected_bytes / MIB:.0f} MiB, measured {measured_bytes / MIB:.0f} MiB")
    assert measured_bytes <= projected_bytes <= 1.5 * measured_bytes + 32 * MIB


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_folds_fit_and_predict_stay_under_their_claims_and_the_claims_are_not_fat(tmp_path: Path) -> None:
    make_panel(tmp_path, num_entities=60, num_dates=470, num_features=12)
    world, shape = World(tmp_path), read_shape(tmp_path / "world.panel")
    paths = [str(path) for path in (world.panel, world.folds, world.model, world.predictions)]

    folds, fit, predict = (peak_bytes(START + act, paths) for act in (FOLDS, FIT, PREDICT))

    assert_two_sided(plan_folds(CONFIG, shape, GIB), folds)
    assert_two_sided(plan_fit(CONFIG, shape, 60 * 300, GIB), fit)
    assert_two_sided(plan_predict(CONFIG, shape, 60 * 100, GIB), predict)


TREE = """
from seawall.train.run import fit_fold, predict_fold_by_ranks
fit_fold(panel, folds, 0, config, model) if act == "train" else predict_fold_by_ranks(
    panel, folds, 0, config, model, predictions
)
assert "torch" not in sys.modules
"""


def tree_peak_bytes(script: str, arguments: list[str], config: TrainConfig) -> int:
    """Do as :func:`peak_bytes` for a process and all it starts."""
    highest = 0
    with subprocess.Popen([sys.executable, "-c", script, config.model_dump_json(), *arguments]) as child:
        while child.poll() is None:
            highest = max(highest, sample_tree(child.pid).private_bytes)
            time.sleep(0.003)
        assert child.returncode == 0
    return highest


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("hidden_size", [64, 512])
def test_two_ranks_and_their_leader_stay_under_their_claims_and_the_claims_are_not_fat(
    tmp_path: Path, hidden_size: int
) -> None:
    make_panel(tmp_path, num_entities=60, num_dates=470, num_features=12)
    world, shape = World(tmp_path), read_shape(tmp_path / "world.panel")
    paths = [str(path) for path in (world.panel, world.folds, world.model, world.predictions)]
    changes = {"ranks": 2, "model": {"hidden_size": hidden_size}, "batch_size": 512 if hidden_size == 64 else 128}
    config = TrainConfig.model_validate(CONFIG.model_dump(mode="json") | changes)
    peak_bytes(START + FOLDS, paths, config)

    fit, predict = (tree_peak_bytes(START + f"act = {act!r}" + TREE, paths, config) for act in ("train", "predict"))

    assert_two_sided(plan_fit(config, shape, 60 * 300, GIB), fit)
    assert_two_sided(plan_predict(config, shape, 60 * 100, GIB), predict)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("order", ["blocks", "by_time"])
def test_a_fit_that_reads_pools_stays_under_its_claim_and_the_claim_is_not_fat(tmp_path: Path, order: str) -> None:
    make_panel(tmp_path, num_entities=900, num_dates=1250, num_features=12)
    changes = {"order": order, "pool": "40MiB", "lookback_periods": 4, "batch_size": 2048}
    folds = {"train": 1100, "valid": 40, "test": 40}
    values = CONFIG.model_dump(mode="json") | changes | {"folds": folds, "model": {"hidden_size": 8}}
    config = TrainConfig.model_validate(values)
    world, shape = World(tmp_path), read_shape(tmp_path / "world.panel")
    paths = [str(path) for path in (world.panel, world.folds, world.model, world.predictions)]
    peak_bytes(START + FOLDS, paths, config)

    measured_bytes = peak_bytes(START + FIT, paths, config)

    plan = plan_fit(config, shape, json.loads(world.folds.read_text())["folds"][0]["train"]["num_samples"], GIB)
    assert next(claim.bytes for claim in plan.private if claim.purpose == "pools") == 80 * MIB
    assert_two_sided(plan, measured_bytes)


def test_a_plan_fits_the_demo_into_one_gibibyte() -> None:
    fit = plan_fit(CONFIG, SHAPE, 200_000, GIB)
    predict = plan_predict(CONFIG, SHAPE, 60_000, GIB)

    assert max(fit.projected_cgroup_bytes, predict.projected_cgroup_bytes) < GIB // 2
    assert plan_folds(CONFIG, SHAPE, GIB).projected_cgroup_bytes < 384 * MIB


def test_pools_are_claimed_where_tiles_are_read_and_not_more_than_the_samples_need() -> None:
    base = plan_fit(CONFIG, SHAPE, 20_000_000, GIB).projected_private_bytes
    blocks = CONFIG.model_copy(update={"order": "blocks", "pool": "64MiB"})

    assert plan_fit(blocks, SHAPE, 20_000_000, GIB).projected_private_bytes == base + 128 * MIB
    few = plan_fit(CONFIG, SHAPE, 1000, GIB).projected_private_bytes
    assert few < plan_fit(blocks, SHAPE, 1000, GIB).projected_private_bytes < few + 2 * MIB


def test_auto_is_shuffle_where_the_rows_fit_beside_training_and_blocks_where_they_do_not() -> None:
    auto = CONFIG.model_copy(update={"order": "auto"})
    needed = plan_fit(CONFIG, SHAPE, 200_000, GIB).projected_cgroup_bytes + 4 * SHAPE.num_rows * SHAPE.num_features

    fits = choose_train_order(auto, SHAPE, 200_000, needed)
    tight = choose_train_order(auto, SHAPE, 200_000, needed - 1)

    assert (fits.order, tight.order) == ("shuffle", "blocks")
    assert "24.7 MiB of rows" in tight.why
    assert "pool of 64.0 MiB" in tight.why


def test_the_claim_of_whole_dates_grows_with_the_largest_date() -> None:
    by_time = CONFIG.model_copy(update={"order": "by_time"})
    wide = PanelShape(**{**SHAPE.record(), "max_rows_per_date": 5000})

    small, large = (plan_fit(by_time, shape, 200_000, GIB).projected_private_bytes for shape in (SHAPE, wide))

    assert large > small + 100 * MIB


def test_claims_grow_with_the_batch_and_not_with_the_rows() -> None:
    larger = CONFIG.model_copy(update={"batch_size": 4096})
    rows = PanelShape(**{**SHAPE.record(), "num_rows": 100 * SHAPE.num_rows, "num_dates": 100 * SHAPE.num_dates})

    base = plan_fit(CONFIG, SHAPE, 200_000, GIB).projected_private_bytes

    assert plan_fit(larger, SHAPE, 200_000, GIB).projected_private_bytes > base + 100 * MIB
    assert plan_fit(CONFIG, rows, 20_000_000, GIB).projected_private_bytes < base + 8 * MIB


def test_read_ahead_is_left_on_only_where_the_features_fit_beside_everything_else() -> None:
    plan = plan_fit(CONFIG, SHAPE, 200_000, GIB)
    features_bytes = 4 * SHAPE.num_rows * SHAPE.num_features

    just_enough = plan.projected_cgroup_bytes + features_bytes

    assert plan_fit(CONFIG, SHAPE, 200_000, just_enough).neutral == {"random_access": 0}
    assert plan_fit(CONFIG, SHAPE, 200_000, just_enough - 1).neutral == {"random_access": 1}
    assert plan.semantic == {"batch_size": 512, "predict_batch_size": 1024, "threads": 1}


def test_every_claim_says_how_it_was_computed() -> None:
    for plan in (plan_folds(CONFIG, SHAPE, GIB), plan_fit(CONFIG, SHAPE, 1, GIB), plan_predict(CONFIG, SHAPE, 1, GIB)):
        assert all(claim.bytes > 0 and claim.formula for claim in plan.private + plan.disk)
