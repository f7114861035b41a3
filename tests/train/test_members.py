"""Several seeds of a fold and baselines beside them: each is what it would be alone, and no order matters."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from seawall.arrays import AnyArray
from seawall.budget.heartbeat import silent
from seawall.stores.panel import Panel
from seawall.stores.predictions import PredictionStore, open_predictions
from seawall.stores.slots import SlotFile
from seawall.train.config import TrainConfig
from seawall.train.folds_file import read_fold
from seawall.train.in_sample import FoldFiles, score_in_sample
from seawall.train.last_value import fill_last_values
from seawall.train.members import of_member, seeds_of, trained_members
from seawall.train.members_config import TRAINED_KINDS
from seawall.train.members_memory import plan_predict_members
from seawall.train.memory import plan_predict
from seawall.train.predict import predict_fold
from seawall.train.run import fit_fold, make_folds_record
from tests.train.test_resume import StopAtEveryBeat, until_done
from tests.train.worlds import World, change_from, planted_world, small_config

SEEDS = small_config(seeds=[7, 3], baselines=["ridge", "mean", "last_value"], max_epochs=2, seed=99)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = planted_world(tmp_path_factory.mktemp("members"))
    make_folds_record(world.panel, SEEDS, world.folds)
    for member in trained_members(SEEDS):
        fit_fold(world.panel, world.folds, 0, of_member(SEEDS, member), world.model / member)
    predict(world, SEEDS, world.predictions)
    return world


def predict(world: World, config: TrainConfig, output: Path, *, model: Path | None = None) -> dict[str, Any]:
    return predict_fold(world.panel, world.folds, 0, config, model or world.model, output)


def columns(folder: Path) -> dict[str, AnyArray]:
    table = pq.read_table(folder / "fold_00.parquet")
    return {name: table.column(name).to_numpy() for name in table.column_names}


def test_each_seed_is_the_model_it_would_be_alone(world: World, tmp_path: Path) -> None:
    for seed in (3, 7):
        alone = small_config(seed=seed, max_epochs=2)
        fit_fold(world.panel, world.folds, 0, alone, tmp_path / str(seed))
        for name in ("model.safetensors", "scaler.json", "model.json"):
            kept = world.model / f"seed_{seed}" / name
            assert (tmp_path / str(seed) / name).read_bytes() == kept.read_bytes()


def test_the_prediction_is_the_mean_of_the_seeds_and_their_spread_stands_beside_it(
    world: World, tmp_path: Path
) -> None:
    found = columns(world.predictions)
    for seed in (3, 7):
        predict(world, small_config(seed=seed, max_epochs=2), tmp_path, model=world.model / f"seed_{seed}")
        np.testing.assert_array_equal(columns(tmp_path)["prediction"], found[f"seed_{seed}"])
    both = np.stack([found["seed_3"], found["seed_7"]]).astype(np.float64)
    np.testing.assert_array_equal(found["prediction"], both.mean(axis=0).astype(np.float32))
    np.testing.assert_array_equal(found["prediction_std"], both.std(axis=0, ddof=1).astype(np.float32))
    assert (found["prediction_std"] > 0).mean() > 0.9
    manifest = json.loads((world.predictions / "fold_00.json").read_text())
    assert manifest["seeds"] == [3, 7]
    beside = ["prediction_std", "seed_3", "seed_7", "baseline_last_value", "baseline_mean", "baseline_ridge"]
    assert manifest["beside"] == beside
    assert not list(world.predictions.glob("*slots"))


def test_neither_the_order_of_seeds_nor_of_baselines_changes_a_byte(world: World, tmp_path: Path) -> None:
    other = small_config(seeds=[3, 7], baselines=["last_value", "mean", "ridge"], max_epochs=2, seed=1)

    predict(world, other, tmp_path)

    assert other.semantic() == SEEDS.semantic()
    for name in ("fold_00.parquet", "fold_00.json"):
        assert (tmp_path / name).read_bytes() == (world.predictions / name).read_bytes()


def test_one_seed_has_no_spread(world: World, tmp_path: Path) -> None:
    predict(world, small_config(seeds=[3], max_epochs=2), tmp_path)

    assert list(columns(tmp_path)) == ["row", "time", "entity", "fold", "prediction"]
    assert "seeds" not in json.loads((tmp_path / "fold_00.json").read_text())


def test_prediction_stopped_at_every_batch_of_every_member_goes_on_to_the_same_bytes(
    world: World, tmp_path: Path
) -> None:
    beat = StopAtEveryBeat()

    until_done(lambda beat: predict_fold(world.panel, world.folds, 0, SEEDS, world.model, tmp_path, beat=beat), beat)

    assert beat.num_stops > 10
    assert (tmp_path / "fold_00.parquet").read_bytes() == (world.predictions / "fold_00.parquet").read_bytes()


def test_seeds_are_judged_in_sample_by_their_mean(world: World, tmp_path: Path) -> None:
    files = FoldFiles(world.panel, world.folds, 0, world.model, tmp_path)

    num_computed = score_in_sample(files, SEEDS, 5)

    assert num_computed == 2 * json.loads(world.folds.read_text())["folds"][0]["train"]["num_samples"]
    assert [path.name for path in (tmp_path / "in_sample").iterdir()] == ["fold_00.parquet"]


def test_the_mean_baseline_is_the_mean_of_train(world: World) -> None:
    scaler = json.loads((world.model / "seed_3" / "scaler.json").read_text())

    assert set(columns(world.predictions)["baseline_mean"].tolist()) == {float(np.float32(scaler["target"]["mean"]))}


def test_the_last_value_is_the_newest_target_known_by_then(world: World) -> None:
    panel, found = Panel(world.panel), columns(world.predictions)
    rows, values = found["row"], found["baseline_last_value"]
    for row, value in zip(rows[::7].tolist(), values[::7].tolist(), strict=True):
        first = panel.offsets[int(panel.entity_of(np.array([row]))[0])]
        known = [
            float(panel.targets[earlier, 0])
            for earlier in range(int(first), row)
            if not np.isnan(panel.targets[earlier, 0]) and panel.target_end[earlier, 0] <= panel.time_index[row]
        ]
        np.testing.assert_equal(value, known[-1] if known else np.nan)


def test_the_last_value_reads_nothing_later(world: World, tmp_path: Path) -> None:
    fold = read_fold(world.folds, 0)
    cut = (fold.test[0] + fold.test[1]) // 2
    copy = world.copy(tmp_path / "copy")
    before = last_values(world.panel, world.predictions, tmp_path / "a.slots")

    change_from(copy.panel, cut)

    after = last_values(copy.panel, world.predictions, tmp_path / "b.slots")
    early = Panel(world.panel).time_index[columns(world.predictions)["row"]] < cut
    np.testing.assert_array_equal(before[early], after[early])
    assert not np.array_equal(before, after, equal_nan=True)


def last_values(panel: Path, predictions: Path, path: Path) -> AnyArray:
    rows = columns(predictions)["row"]
    with SlotFile(path, num_slots=len(rows), num_outputs=1, key="last") as slots:
        fill_last_values(slots, Panel(panel), rows, [0], silent)
        return np.array(slots.values()[:, 0])


def test_a_store_is_read_by_member(world: World) -> None:
    found = columns(world.predictions)
    store = PredictionStore(world.predictions, member="baseline_ridge")

    read = np.concatenate([batch.prediction for batch in store.batches()])

    np.testing.assert_array_equal(read, found["baseline_ridge"])
    assert store.seeds == (3, 7)
    with pytest.raises(Exception, match="no predictions of it"):
        PredictionStore(world.predictions, member="seed_4")


def test_folds_of_different_seeds_are_refused(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.predictions, tmp_path / "predictions")
    manifest = json.loads((world.predictions / "fold_00.json").read_text())
    for suffix in (".parquet", ".json"):
        shutil.copy(world.predictions / f"fold_00{suffix}", tmp_path / f"predictions/fold_01{suffix}")
    manifest |= {"fold": 1, "beside": ["prediction_std", "seed_3", "seed_8"], "seeds": [3, 8]}
    (tmp_path / "predictions/fold_01.json").write_text(json.dumps(manifest))

    with pytest.raises(Exception, match="different seeds or baselines"):
        open_predictions(world.panel, tmp_path / "predictions")


def test_how_many_is_counted_on_from_the_seed() -> None:
    assert seeds_of(small_config(seeds=3, seed=5)) == (5, 6, 7)
    assert small_config(seeds=3, seed=5).semantic() == small_config(seeds=[7, 6, 5]).semantic()
    assert seeds_of(small_config()) == ()


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"seeds": 0}, "how many seeds"),
        ({"seeds": True}, "how many seeds"),
        ({"seeds": [1, 1]}, "each seed must be named once"),
        ({"seeds": []}, "how many seeds"),
        ({"baselines": ["ridges"]}, "did you mean 'ridge'|ridge"),
        ({"baselines": ["mean", "mean"]}, "each kind must be named once"),
        ({"seeds": 2, "targets": ["x", "std_x"], "target": "x"}, "rename a target"),
    ],
)
def test_what_makes_no_ensemble_is_refused(choices: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        small_config(**choices)


def test_every_kind_of_model_but_a_users_own_may_be_a_baseline() -> None:
    needs: dict[str, dict[str, object]] = {"branch_lstm": {"static": ["area"]}}
    for kind in TRAINED_KINDS:
        config = small_config(baselines=[{"kind": kind, **needs.get(kind, {})}])
        assert of_member(config, f"baseline_{kind}").model.kind_name == kind


def test_seeds_change_neither_what_a_member_is_nor_what_was_done_before_there_were_seeds() -> None:
    five, six = small_config(seeds=5, baselines=["ridge"]), small_config(seeds=6)

    assert of_member(five, "seed_2").semantic() == of_member(six, "seed_2").semantic()
    assert of_member(five, "seed_2").semantic() == small_config(seed=2).semantic()
    assert "seeds" not in small_config().semantic()


def test_claims_of_predicting_grow_with_members_by_their_columns_and_not_by_their_models(world: World) -> None:
    shape, rows = Panel(world.panel).shape, 100_000
    plans = [
        plan_predict_members(small_config(seeds=number), shape, rows, 2**30).projected_private_bytes
        for number in (2, 3, 4, 5)
    ]
    one = plan_predict(small_config(), shape, rows, 2**30)

    steps = {after - before for before, after in pairwise(plans)}
    assert len(steps) == 1
    assert steps.pop() < 6 * 2**20 < one.projected_private_bytes
    assert plan_predict_members(small_config(), shape, rows, 2**30) == one
