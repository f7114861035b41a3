"""Every choice of the loop: what it does, and that a training stopped and continued with it is the same to the bit."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from seawall.arrays import AnyArray
from seawall.errors import ConfigError, StageError
from seawall.train import environment as environments
from seawall.train import loop
from seawall.train.average import Average
from seawall.train.config import TrainConfig
from seawall.train.presets import PRESETS
from seawall.train.run import fit_fold, make_folds_record
from seawall.train.scaling import GROWTH_STEPS, LossScale
from seawall.train.schedule import rate_share
from seawall.train.schedule_config import ConstantConfig, CosineConfig, OneCycleConfig, PlateauConfig
from seawall.train.step import Stepper, StepSums
from seawall.windows.gather import Batch
from tests.support import make_panel
from tests.train.test_resume import StopAtEveryBeat, history, model_files, stop_after_steps, until_done
from tests.train.worlds import World, edit, planted_world, small_config, three_target_config, three_target_world

CHOICES: dict[str, dict[str, object]] = {
    "cosine": {"schedule": {"kind": "cosine", "warmup_share": 0.3}},
    "one cycle": {"schedule": {"kind": "one_cycle"}},
    "plateau": {"schedule": {"kind": "plateau", "patience": 1}, "learning_rate": 0.3, "max_epochs": 4},
    "accumulation": {"accumulate_batches": 3},
    "average": {"ema_decay": 0.9},
    "bf16": {"precision": "bf16"},
    "by date": {"loss": {"kind": "ic"}},
    "all": {
        "schedule": {"kind": "cosine"},
        "accumulate_batches": 2,
        "ema_decay": 0.8,
        "precision": "bf16",
        "early_stopping": "valid_ccc",
        "on_non_finite": "skip",
        "seed_per_fold": True,
    },
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = planted_world(tmp_path_factory.mktemp("world"))
    world.fit(small_config())
    return world


@pytest.mark.parametrize("choice", CHOICES)
def test_stopped_at_every_step_it_gives_the_same_model(world: World, tmp_path: Path, choice: str) -> None:
    config = small_config(**{"checkpoint_seconds": 0.0, "batch_size": 128, "max_epochs": 2, **CHOICES[choice]})
    beat = StopAtEveryBeat()
    fit_fold(world.panel, world.folds, 0, config, tmp_path / "whole")

    until_done(lambda beat: fit_fold(world.panel, world.folds, 0, config, tmp_path / "cut", beat=beat), beat)

    assert beat.num_stops > 8
    assert model_files(tmp_path / "cut") == model_files(tmp_path / "whole")
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    assert "resumed" not in json.loads((tmp_path / "cut" / "model.json").read_text())


@pytest.mark.parametrize("loss", ["mse", "ic"])
def test_rows_told_in_passing_add_up_to_the_samples_also_where_a_batch_is_a_date(
    world: World, tmp_path: Path, loss: str
) -> None:
    told: list[tuple[int, dict[str, float]]] = []

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        if substep == "epoch 0: train":
            told.append((total, numbers))

    summary = fit_fold(world.panel, world.folds, 0, small_config(loss={"kind": loss}), tmp_path, beat=beat)

    assert all(total * numbers["batch_rows"] == summary["num_train_samples"] for total, numbers in told)
    assert told[-1][1]["epoch_seconds"] >= told[-1][1]["loader_wait_seconds"] > 0


@pytest.mark.parametrize("changed", ["torch", "cpu"])
def test_a_resume_elsewhere_goes_on_and_says_it_is_equal_to_rounding(
    world: World, tmp_path: Path, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(checkpoint_seconds=0.0)
    stop_after_steps(world, tmp_path, config, 5)
    if changed == "torch":
        monkeypatch.setattr(torch, "__version__", "9.9.9")
    else:
        monkeypatch.setattr(environments, "_cpu_model", lambda: "another processor")

    summary = fit_fold(world.panel, world.folds, 0, config, tmp_path)

    record = json.loads((tmp_path / "model.json").read_text())
    assert record["equality"] == summary["equality"] == "equal to rounding, not bitwise"
    (resumed,) = record["resumed"]
    assert (resumed["epoch"], resumed["step"], list(resumed["changed"])) == (0, 5, [changed])


def test_a_training_on_other_data_begins_anew(tmp_path: Path) -> None:
    config = small_config(checkpoint_seconds=0.0)
    folders = []
    for name, seed in (("first", 0), ("second", 1)):
        folder = tmp_path / name
        folder.mkdir()
        panel = make_panel(folder, num_entities=12, seed=seed)
        folders.append(folder)
        make_folds_record(panel.path, config, folder / "folds.json")
    stop_after_steps(World(folders[0]), tmp_path / "model", config, 5)
    other = World(folders[1])
    fit_fold(other.panel, other.folds, 0, config, tmp_path / "model")
    fit_fold(other.panel, other.folds, 0, config, tmp_path / "fresh")

    assert model_files(tmp_path / "model") == model_files(tmp_path / "fresh")


def test_rates_rise_and_fall_as_their_schedules_say() -> None:
    cosine = [rate_share(CosineConfig(warmup_share=0.1, end_share=0.2), step, 100) for step in range(100)]
    assert cosine[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert cosine[10] == 1.0
    assert cosine[-1] == pytest.approx(0.2)
    assert all(a >= b for a, b in pairwise(cosine[10:]))
    assert rate_share(ConstantConfig(), 7, 100) == 1.0
    plateau = PlateauConfig(factor=0.5, lowest_share=0.2)
    assert [rate_share(plateau, 0, 1, n) for n in range(4)] == [1.0, 0.5, 0.25, 0.2]


def test_one_cycle_is_that_of_torch() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=60, cycle_momentum=False)
    for step in range(60):
        assert rate_share(OneCycleConfig(), step, 60) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        if step < 59:
            theirs.step()


def test_accumulated_batches_are_the_step_of_one_large_batch(world: World, tmp_path: Path) -> None:
    still = {"model": {"hidden_size": 4, "dropout": 0.0}, "max_epochs": 1}
    large = small_config(batch_size=64, **still)
    small = small_config(batch_size=32, accumulate_batches=2, **still)
    weights = []
    for name, config in (("large", large), ("small", small)):
        fit_fold(world.panel, world.folds, 0, config, tmp_path / name)
        weights.append(load_file(tmp_path / name / "model.safetensors"))
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-3, atol=2e-5)


def test_a_full_gpu_in_the_middle_of_a_step_costs_rounding_and_no_gradient(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised is what a full GPU raises, with the gradients of the batch there: in a step, and while it is repeated."""
    still = {"model": {"hidden_size": 4, "dropout": 0.0}, "max_epochs": 1}
    config = small_config(batch_size=32, accumulate_batches=3, **still)
    fit_fold(world.panel, world.folds, 0, config, tmp_path / "whole")
    plain, calls = Stepper.add_gradients, []

    def full(self: Stepper, batch: Batch, *, parts: int, size: float, factor: float) -> StepSums:
        calls.append(parts)
        sums = plain(self, batch, parts=parts, size=size, factor=factor)
        if len(calls) in (3, 4, 9):  # the last batch of a step, the first one that is repeated, one of a later step
            raise torch.OutOfMemoryError("CUDA out of memory")
        return sums

    monkeypatch.setattr(Stepper, "add_gradients", full)
    fit_fold(world.panel, world.folds, 0, config, tmp_path / "full")

    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("full", "whole"))
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=2e-5)
    record = json.loads((tmp_path / "full" / "model.json").read_text())
    assert record["micro_batches"] == max(calls) == 8
    assert history(tmp_path / "full")[0]["train_loss"] == pytest.approx(history(tmp_path / "whole")[0]["train_loss"])


def test_the_average_forgets_and_is_what_is_kept(world: World, tmp_path: Path) -> None:
    model = torch.nn.Linear(1, 1)
    average, expected = Average(model, 0.5), float(model.weight.detach())
    for step in range(1, 30):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    with average.in_place(model):
        assert float(model.weight.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(model.weight.detach()) == 29.0
    fit_fold(world.panel, world.folds, 0, small_config(ema_decay=0.99), tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() != (world.model / "model.safetensors").read_bytes()


def test_the_scale_halves_on_overflow_and_doubles_after_many_good_steps() -> None:
    scale = LossScale(1024.0)
    scale.note(is_good=False)
    assert scale.factor == 512.0
    for _ in range(GROWTH_STEPS):
        scale.note(is_good=True)
    assert scale.factor == 1024.0
    fixed = LossScale()
    fixed.note(is_good=False)
    assert fixed.factor == 1.0


def test_a_scaled_loss_steps_over_overflow_and_learns_the_same(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "first_scale", lambda precision: 2.0**128)
    config = small_config(checkpoint_seconds=0.0, batch_size=128, max_epochs=2)
    fit_fold(world.panel, world.folds, 0, config, tmp_path / "whole")
    beat = StopAtEveryBeat()
    until_done(lambda beat: fit_fold(world.panel, world.folds, 0, config, tmp_path / "cut", beat=beat), beat)

    assert model_files(tmp_path / "cut") == model_files(tmp_path / "whole")
    fit_fold(world.panel, world.folds, 0, config, tmp_path / "again")
    assert model_files(tmp_path / "again") == model_files(tmp_path / "whole")
    monkeypatch.undo()
    fit_fold(world.panel, world.folds, 0, config, tmp_path / "plain")
    scaled, plain = (history(tmp_path / name)[-1]["valid_loss"] for name in ("whole", "plain"))
    assert scaled == pytest.approx(plain, rel=0.2)
    assert scaled != plain, "the first steps overflowed and were not taken"


def test_fp16_on_a_processor_is_refused_before_any_work(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        fit_fold(world.panel, world.folds, 0, small_config(precision="fp16"), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_sixteen_bits_learn_nearly_what_float32_learns(world: World, tmp_path: Path) -> None:
    fit_fold(world.panel, world.folds, 0, small_config(precision="bf16"), tmp_path)
    found, whole = history(tmp_path)[-1]["valid_loss"], history(world.model)[-1]["valid_loss"]
    assert isinstance(found, float)
    assert found == pytest.approx(whole, rel=0.05)
    assert found != whole


@pytest.mark.parametrize("score", ["valid_rank_ic", "valid_mae", "valid_r2", "valid_ccc", "valid_pearson", "valid_mse"])
def test_the_best_epoch_is_that_of_the_watched_score(world: World, tmp_path: Path, score: str) -> None:
    config = small_config(early_stopping=score, max_epochs=5, patience=5, learning_rate=0.2)
    fit_fold(world.panel, world.folds, 0, config, tmp_path)
    record = json.loads((tmp_path / "history.json").read_text())
    values = [epoch[score] for epoch in record["epochs"]]
    best = int(np.argmin(values) if score in ("valid_mae", "valid_mse") else np.argmax(values))
    assert record["best_epoch"] == best


def wild_world(folder: Path) -> World:
    """One target of three samples of train is infinite, the others are known: their batches have no finite loss."""
    wild = three_target_world(folder)
    make_folds_record(wild.panel, three_target_config(), wild.folds)

    def spoil(values: AnyArray) -> None:
        values[30:33, 0] = np.inf

    edit(wild.panel, "targets", "<f4", (-1, 3), spoil)
    return wild


def test_a_loss_that_is_not_finite_stops_with_the_batch_saved(tmp_path: Path) -> None:
    wild = wild_world(tmp_path)
    config = three_target_config(loss={"kind": "mse"})
    with pytest.raises(StageError, match=r"non_finite_batch\.safetensors"):
        fit_fold(wild.panel, wild.folds, 0, config, wild.model)

    saved = load_file(wild.model / "non_finite_batch.safetensors")
    assert {"batch.x", "batch.y", "batch.row", "model.head.weight"} <= set(saved)
    assert bool(torch.isinf(saved["batch.y"]).any())
    assert not (wild.model / "model.json").exists()


def test_a_loss_that_is_not_finite_may_be_skipped_and_is_counted(tmp_path: Path) -> None:
    wild = wild_world(tmp_path)
    config = three_target_config(loss={"kind": "mse"}, on_non_finite="skip")
    summary = fit_fold(wild.panel, wild.folds, 0, config, wild.model)

    assert summary["num_skipped_batches"] >= 3
    assert math.isfinite(float(str(history(wild.model)[-1]["valid_loss"])))
    record = json.loads((wild.model / "model.json").read_text())
    assert record["num_skipped_batches"] == summary["num_skipped_batches"]


def test_a_fold_may_start_from_the_one_before(world: World, tmp_path: Path) -> None:
    config = small_config(warm_start=True, max_epochs=1, learning_rate=1e-12, weight_decay=0.0)
    models = tmp_path / "models"
    with pytest.raises(ConfigError, match="no model of fold 0 to start from"):
        fit_fold(world.panel, world.folds, 1, config, models / "fold_01")
    fit_fold(world.panel, world.folds, 0, small_config(), models / "fold_00")
    fit_fold(world.panel, world.folds, 1, config, models / "fold_01")

    first, second = (load_file(models / f"fold_{fold:02d}" / "model.safetensors") for fold in (0, 1))
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-6, atol=1e-9)


def test_folds_may_draw_from_seeds_of_their_own(world: World, tmp_path: Path) -> None:
    found = {}
    for own in (False, True):
        for fold in (0, 1):
            config = small_config(seed_per_fold=own, max_epochs=1, learning_rate=1e-12, weight_decay=0.0)
            fit_fold(world.panel, world.folds, fold, config, tmp_path / f"{own}_{fold}")
            found[own, fold] = load_file(tmp_path / f"{own}_{fold}" / "model.safetensors")["lstm.weight_ih_l0"]
    torch.testing.assert_close(found[False, 0], found[False, 1])
    assert not torch.allclose(found[True, 0], found[True, 1])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_documented_fields_and_gives_way_to_those_that_are_named(preset: str) -> None:
    values = {"target": "fwd", "folds": {"train": 60, "valid": 20, "test": 20}, "preset": preset}
    config, plain = TrainConfig.model_validate(values), TrainConfig.model_validate({**values, "preset": None})
    changed = {name for name in type(config).model_fields if getattr(config, name) != getattr(plain, name)} - {"preset"}

    assert changed <= set(PRESETS[preset])
    assert TrainConfig.model_validate({**values, "order": "shuffle", "pool": "8MiB"}).pool == "8MiB"
    assert TrainConfig.model_validate(config.model_dump()) == config
    with pytest.raises(ValidationError):
        TrainConfig.model_validate({**values, "preset": "quick"})


def test_combinatorial_folds_start_afresh() -> None:
    folds = {"kind": "combinatorial", "num_groups": 4, "num_test_groups": 1, "valid": 10}
    with pytest.raises(ValidationError, match="warm_start"):
        TrainConfig.model_validate({"target": "fwd", "folds": folds, "warm_start": True})
