"""Boosted trees: the same as LightGBM on the whole table, streamed, repeatable, without a look ahead, inside claims."""

import json
from pathlib import Path

import lightgbm
import numpy as np
import pyarrow.parquet as pq
import pytest

from seawall.budget.claims import StagePlan
from seawall.errors import FormatError
from seawall.models.lightgbm_config import LightGbmConfig
from seawall.models.trees import Trees
from seawall.stores.panel import Panel
from seawall.stores.shape import read_shape
from seawall.train.artefacts import read_model
from seawall.train.config import TrainConfig
from seawall.train.folds_file import read_fold
from seawall.train.inference import scaled_gather, to_scaled
from seawall.train.memory import plan_fit, plan_predict
from seawall.train.predict import predict_fold
from seawall.train.run import fit_fold
from seawall.train.segments import train_samples, valid_samples
from seawall.units import GIB
from tests.support import make_panel
from tests.train.test_memory import FIT, FOLDS, PREDICT, START, assert_two_sided, peak_bytes
from tests.train.worlds import HORIZONS, World, change_from, planted_world, small_config, three_target_world

TREES = {"kind": "lightgbm", "min_leaf_samples": 10, "max_trees": 120, "patience_trees": 15, "window": "lookback"}
WITHOUT_PANDAS = "from seawall.budget.beginning import leave_out_pandas; leave_out_pandas()\n"


def config_of(**choices: object) -> TrainConfig:
    return small_config(model=TREES, **choices)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = planted_world(tmp_path_factory.mktemp("world"), num_entities=24)
    world.fit(config_of())
    predict_fold(world.panel, world.folds, 0, config_of(), world.model, world.predictions)
    return world


def test_a_planted_signal_is_found_out_of_sample(world: World) -> None:
    table = pq.read_table(world.predictions / "fold_00.parquet")
    targets = Panel(world.panel).targets[table["row"].to_numpy()][:, 0]
    known = ~np.isnan(targets)

    assert np.corrcoef(table["prediction"].to_numpy()[known], targets[known])[0, 1] > 0.7


def test_the_trees_are_those_of_lightgbm_on_the_whole_table(world: World) -> None:
    config, panel, fold = config_of(), Panel(world.panel), read_fold(world.folds, 0)
    fitted = read_model(world.model)
    gather = scaled_gather(panel, config.lookback_periods, fitted.scaler, config.target_names)
    tables = []
    for samples in (train_samples(panel, fold, config), valid_samples(panel, fold, config)):
        rows = np.concatenate(list(samples.blocks()))
        x = gather.features(rows).reshape(len(rows), -1).astype(np.float64)
        tables.append((x, to_scaled(gather.target_values(rows), fitted.scaler)[:, 0]))
    options = {
        "objective": "huber", "alpha": 1.0, "metric": "huber", "learning_rate": 0.05, "num_leaves": 31,
        "min_data_in_leaf": 10, "feature_fraction": 0.8, "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1.0,
        "max_bin": 255, "num_threads": 1, "deterministic": True, "force_row_wise": True, "seed": 0, "verbosity": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(tables[0][0], label=tables[0][1], params=options)
    valid = lightgbm.Dataset(tables[1][0], label=tables[1][1], params=options, reference=data)
    stop = lightgbm.early_stopping(15, verbose=False)
    expected = lightgbm.train(options, data, 120, valid_sets=[valid], callbacks=[stop])

    module = fitted.module
    assert isinstance(module, Trees)
    ours = module.boosters[0].predict(tables[1][0])
    theirs = expected.predict(tables[1][0], num_iteration=expected.best_iteration)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)
    assert json.loads((world.model / "history.json").read_text())["epochs"][0]["trees"] == [expected.best_iteration]


def test_the_published_text_is_lightgbms_own(world: World) -> None:
    text = (world.model / "trees_00.txt").read_text()
    loaded, module = lightgbm.Booster(model_file=world.model / "trees_00.txt"), read_model(world.model).module

    assert isinstance(module, Trees)
    assert module.texts == [text]
    assert loaded.num_trees() == module.boosters[0].num_trees()


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(world: World, tmp_path: Path) -> None:
    files = []
    for seed in (0, 1):
        copy = world.copy(tmp_path / str(seed))
        copy.fit(config_of(seed=seed))
        files.append((copy.model / "model.safetensors").read_bytes())

    assert files[0] == (world.model / "model.safetensors").read_bytes()
    assert files[0] != files[1]


def test_nothing_from_test_on_reaches_the_trees(world: World, tmp_path: Path) -> None:
    other = world.copy(tmp_path)
    change_from(other.panel, 80)
    other.fit(config_of())

    assert (other.model / "model.safetensors").read_bytes() == (world.model / "model.safetensors").read_bytes()


def test_each_target_has_trees_of_the_rows_it_is_known_on(tmp_path: Path) -> None:
    world = three_target_world(tmp_path)
    values = config_of(lookback_periods=1).model_dump(exclude={"target", "order"}) | {"targets": list(HORIZONS)}
    config = TrainConfig.model_validate(values)
    world.fit(config)
    predict_fold(world.panel, world.folds, 0, config, world.model, world.predictions)
    table = pq.read_table(world.predictions / "fold_00.parquet")
    panel = Panel(world.panel)

    for number, name in enumerate(HORIZONS):
        target = panel.targets[table["row"].to_numpy(), number]
        known = ~np.isnan(target)
        assert np.corrcoef(table[f"prediction_{name}"].to_numpy()[known], target[known])[0, 1] > 0.4, name
        assert (world.model / f"trees_{number:02d}.txt").is_file()


def test_a_fold_that_is_killed_keeps_the_targets_that_are_finished_and_gives_the_same_bytes(tmp_path: Path) -> None:
    world = three_target_world(tmp_path)
    config = config_of(target=next(iter(HORIZONS)), targets=list(HORIZONS))
    world.fit(config)
    begun: list[str] = []

    def stop_in_the_second(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        if substep.startswith("trees of") and substep not in begun:
            begun.append(substep)
        if len(begun) == 2 and done == 3:
            raise KeyboardInterrupt

    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        fit_fold(world.panel, world.folds, 0, config, cut, beat=stop_in_the_second)
    seen: list[str] = []

    def note(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        seen.append(substep)

    fit_fold(world.panel, world.folds, 0, config, cut, beat=note)

    assert begun[0] not in seen, "its trees were there"
    assert begun[1] in seen
    for name in ("model.safetensors", "trees_00.txt", "trees_02.txt"):
        assert (cut / name).read_bytes() == (world.model / name).read_bytes()
    assert not (cut / "trees_kept.json").exists()


def test_a_damaged_text_is_no_finished_model(world: World, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    copy = world.copy(tmp_path)
    copy.fit(config_of())
    save_file({"trees_00": np.frombuffer(b"tree\nnonsense", np.uint8)}, copy.model / "model.safetensors")
    with pytest.raises(FormatError, match="no finished model"):
        read_model(copy.model)


def plans(config: TrainConfig, world: World) -> tuple[StagePlan, StagePlan]:
    shape, fold = read_shape(world.panel), json.loads(world.folds.read_text())["folds"][0]
    counts = [fold[name]["num_samples"] for name in ("train", "test")]
    return plan_fit(config, shape, counts[0], GIB), plan_predict(config, shape, counts[1], GIB)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("num_entities", "window"), [(60, "last"), pytest.param(500, "lookback", marks=pytest.mark.slow)]
)
def test_trees_stay_under_claims_that_are_not_fat(tmp_path: Path, num_entities: int, window: str) -> None:
    make_panel(tmp_path, num_entities=num_entities, num_dates=470, num_features=12)
    values = {"target": "fwd", "folds": {"train": 300, "valid": 60, "test": 100}, "device": "cpu"}
    model = {"kind": "lightgbm", "window": window, "max_trees": 100}
    config, world = TrainConfig.model_validate(values | {"model": model, "lookback_periods": 10}), World(tmp_path)
    paths = [str(path) for path in (world.panel, world.folds, world.model, world.predictions)]
    peak_bytes(START + FOLDS, paths, config)
    fit, predict = (peak_bytes(WITHOUT_PANDAS + START + act, paths, config) for act in (FIT, PREDICT))

    for plan, measured_bytes in zip(plans(config, world), (fit, predict), strict=True):
        assert_two_sided(plan, measured_bytes)


def test_the_claim_grows_by_a_byte_a_value_twice(tmp_path: Path) -> None:
    world = planted_world(tmp_path)
    world.fit(config_of())
    shape = read_shape(world.panel)
    small, large = (plan_fit(config_of(), shape, count, GIB) for count in (10**6, 2 * 10**6))

    assert large.projected_private_bytes - small.projected_private_bytes == 10**6 * (2 * 12 + 72)
    assert LightGbmConfig().kind_name == "lightgbm"
