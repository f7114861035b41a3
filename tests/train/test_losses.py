"""Losses of whole dates in the loop: they learn, parts of a date change nothing, what cannot be is refused."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from seawall.arrays import Float32
from seawall.losses.objective import Objective, terms_of
from seawall.models.config import LstmAttentionConfig
from seawall.models.registry import build_model
from seawall.models.shape import ModelShape
from seawall.stores.scalers import ColumnScale, Scaler
from seawall.train.config import TrainConfig
from seawall.train.micro import MicroBatches, parts_of
from seawall.train.run import fit_fold
from seawall.train.step import Stepper
from seawall.windows.gather import Batch
from tests.train.worlds import HORIZONS, World, small_config, three_target_config, three_target_world

KINDS = ("ic", "ccc", "pairwise_rank", "listwise_rank", "risk")
LEARNING = {"max_epochs": 8, "patience": 8, "model": {"hidden_size": 8, "dropout": 0.0}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return three_target_world(tmp_path_factory.mktemp("world"))


def epochs(folder: Path) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads((folder / "history.json").read_text())["epochs"]
    return found


def fitted(world: World, folder: Path, config: TrainConfig, **means: object) -> list[dict[str, float]]:
    world.folds.exists() or world.fit(config)
    fit_fold(world.panel, world.folds, 0, config, folder, **means)  # type: ignore[arg-type]
    return epochs(folder)


@pytest.mark.parametrize("kind", KINDS[:4])
def test_a_loss_of_dates_learns_what_is_planted(world: World, tmp_path: Path, kind: str) -> None:
    config = small_config(target="short", loss={"kind": kind}, **LEARNING)

    found = fitted(world, tmp_path / "models" / "fold_00", config)

    assert config.order == "by_time"
    assert found[-1]["valid_ic"] > 0.5
    assert found[-1]["train_loss"] < found[0]["train_loss"]
    assert found[-1]["valid_flat_dates"] == 0


def test_three_targets_learn_by_three_losses_at_once(world: World, tmp_path: Path) -> None:
    terms = [
        {"target": "short", "kind": "ic", "weight": 0.7, "ic_goal": 0.9},
        {"target": "long", "kind": "huber"},
        {"target": "odd", "kind": "pairwise_rank", "weight": 0.5},
        {"target": "short", "kind": "risk", "weight": 0.1},
    ]
    config = three_target_config(loss={"kind": "sum", "terms": terms}, **LEARNING)

    last = fitted(world, tmp_path / "models" / "fold_00", config)[-1]

    assert all(last[f"valid_ic_{name}"] > 0.5 for name in HORIZONS)
    weights = (0.7, 1.0, 0.5, 0.1)
    names = [key for key in last if key.startswith("train_term_")]
    assert len(names) == 4
    for part in ("train", "valid"):
        sums = [last[name.replace("train", part)] * w for name, w in zip(names, weights, strict=True)]
        assert last[f"{part}_loss"] == pytest.approx(sum(sums), rel=1e-12)


def test_a_date_loss_over_valid_is_the_mean_over_its_dates(world: World, tmp_path: Path) -> None:
    small = small_config(target="short", loss={"kind": "ic"}, predict_batch_size=5, **LEARNING)
    whole = small.model_copy(update={"predict_batch_size": 10_000})
    found = [fitted(world, tmp_path / name, config)[-1] for name, config in (("small", small), ("whole", whole))]

    assert found[0]["valid_loss"] == pytest.approx(found[1]["valid_loss"], abs=1e-6)
    assert found[0]["valid_loss"] == pytest.approx(1 - found[0]["valid_ic"], abs=1e-6)


def a_stepper(loss: Mapping[str, object], dropout: float) -> tuple[Stepper, Batch]:
    torch.manual_seed(0)
    config = small_config(loss=loss)
    scale = ColumnScale("fwd", 0.0, 1.0, 1, 0, 0)
    model = build_model(LstmAttentionConfig(hidden_size=6, dropout=dropout), ModelShape(num_features=3))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    rng = np.random.default_rng(0)
    y: Float32 = rng.standard_normal((50, 1)).astype(np.float32)
    y[7] = math.nan
    batch = Batch(rng.standard_normal((50, 4, 3)).astype(np.float32), y, np.arange(50))
    objective = Objective(terms_of(config.loss, ("fwd",)))
    return Stepper(model, objective, Scaler((), scale, 5.0, None), torch.device("cpu"), "float32"), batch


def gradients_of(stepper: Stepper) -> torch.Tensor:
    found = [parameter.grad for parameter in stepper.model.parameters()]
    return torch.cat([gradient.flatten() for gradient in found if gradient is not None])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_a_date_in_two_passes_has_the_gradient_of_one(kind: str, dropout: float) -> None:
    loss = {"kind": kind, **({"side": "both"} if kind == "risk" else {})}
    stepper, batch = a_stepper(loss, dropout)
    torch.manual_seed(5)
    sums = stepper.add_gradients(batch, parts=4, size=50.0, factor=1.0)
    state = torch.get_rng_state()
    in_parts = gradients_of(stepper)

    whole, _ = a_stepper(loss, dropout)
    whole.model.train()
    torch.manual_seed(5)
    x = torch.from_numpy(batch.x)
    predicted = torch.cat([whole.model(x[part]) for part in parts_of(50, 4)])
    values = whole.objective.values(predicted, torch.from_numpy(batch.y), None)
    one = whole.objective.to_minimise(values, 50.0)
    assert one is not None
    torch.autograd.backward(one)

    assert sums.totals[0] == pytest.approx(float(one.detach()), rel=1e-6)
    torch.testing.assert_close(in_parts, gradients_of(whole), rtol=1e-5, atol=1e-7)
    assert torch.equal(state, torch.get_rng_state()), "dropout goes on as if there had been one pass"


def test_a_date_in_parts_trains_the_same_model_to_rounding(world: World, tmp_path: Path) -> None:
    config = small_config(target="short", loss={"kind": "ic"}, **LEARNING)
    one, two = (
        fitted(world, tmp_path / str(parts), config, split=MicroBatches(parts))[1]["train_loss"] for parts in (1, 3)
    )
    assert one == pytest.approx(two, abs=1e-4)
    assert one != two or one > 0


def test_names_outside_the_universe_are_no_part_of_a_date(tmp_path: Path) -> None:
    world = three_target_world(tmp_path)
    config = small_config(target="short", loss={"kind": "ic"}, max_epochs=1)
    world.fit(config)
    before = epochs(world.model)
    path = next(world.panel.glob("seg-*/targets.npy"))
    mapped = np.memmap(path, "<f4", "r+", 4096)
    assert len(mapped)
    universe = np.load(next(world.panel.glob("seg-*/universe.npy")), mmap_mode="r+")
    universe[: len(universe) // 2] = False  # the first half of the names: rows lie by entity
    universe.flush()
    inside = np.flatnonzero(universe)
    fit_fold(world.panel, world.folds, 0, config, tmp_path / "half")
    half = epochs(tmp_path / "half")
    rows = mapped.reshape(-1, 3)
    rows[: inside[0]] = 9.0
    mapped.flush()
    fit_fold(world.panel, world.folds, 0, config, tmp_path / "changed")

    assert half[0]["train_loss"] != before[0]["train_loss"]
    assert (tmp_path / "half" / "model.safetensors").read_bytes() == (
        tmp_path / "changed" / "model.safetensors"
    ).read_bytes()


def test_a_loss_of_dates_takes_whole_dates_or_is_refused() -> None:
    for loss in ({"kind": "ic"}, {"kind": "sum", "terms": [{"kind": "mse", "ic_goal": 0.1}]}):
        assert small_config(loss=loss).order == "by_time"
        assert small_config(loss=loss, order="auto").order == "by_time"
        with pytest.raises(ValidationError, match="set order: by_time or auto, not shuffle"):
            small_config(loss=loss, order="shuffle")
    assert small_config(loss={"kind": "sum", "terms": [{"kind": "mse"}]}).order == "shuffle"
    with pytest.raises(ValidationError, match="is not predicted"):
        small_config(loss={"kind": "sum", "terms": [{"kind": "ic", "target": "other"}]})
