"""A LightningModule is trained by its own loss and optimiser: as Lightning's Trainer does, and resumed to the bit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import seawall as sw
from seawall.arrays import Float32
from seawall.errors import SeawallError
from seawall.models.module_config import Measured, ModuleConfig
from seawall.models.probe import probe
from seawall.models.shape import ModelShape
from seawall.stores.panel import Panel
from seawall.train.config import TrainConfig
from seawall.train.micro import MicroBatches
from tests.train.test_resume import StopAtEveryBeat, history, model_files, until_done
from tests.train.worlds import World, edit, planted_world, small_config

pl = pytest.importorskip("pytorch_lightning", reason="the extra lightning is not installed")

from seawall.train.run import fit_fold, make_folds_record  # noqa: E402 - after the skip
from tests.models import lightning_nets as nets  # noqa: E402 - it needs the extra

FILE = Path(nets.__file__)
SHAPE = ModelShape(num_features=3, lookback_periods=5)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = planted_world(tmp_path_factory.mktemp("lit"), num_dates=110)
    make_folds_record(world.panel, lit("Lit"), world.folds)
    return world


def lit(name: str, **choices: Any) -> TrainConfig:  # noqa: ANN401 - values of a config
    """Train one of the modules of the file."""
    model = {"kind": "module", "target": f"{FILE}:{name}"}
    rate = {"learning_rate": 0.01 if name == "OnlyStep" else 0.001}
    return small_config(model=model, **{**rate, **choices})


def arrays(num_samples: int = 640) -> tuple[Float32, Float32]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((num_samples, 3, 4)).astype(np.float32)
    y = (x[:, -1, 0] - 0.5 * x[:, -1, 1] + 0.1 * rng.standard_normal(num_samples)).astype(np.float32)
    return x, y


@pytest.mark.filterwarnings("ignore")  # of Lightning's own
def test_it_has_the_weights_that_lightnings_own_trainer_gives() -> None:
    """Whole batches, no dropout and no clipping, as the Trainer has by default: the same to rounding."""
    x, y = arrays(512)
    torch.manual_seed(3)
    ours = nets.Lit(4)
    ours.net[2] = nn.Identity()
    theirs = nets.Lit(4)
    theirs.net[2] = nn.Identity()
    theirs.load_state_dict(ours.state_dict())
    settings = {"max_epochs": 8, "batch_size": 512, "device": "cpu", "gradient_clip": 1e9}

    fitted = sw.fit(ours, (x, y), valid=(x, y), settings=settings)

    scaler = json.loads((fitted.folder / "scaler.json").read_text())
    mean, std = (np.array([one[name] for one in scaler["features"]], np.float32) for name in ("mean", "std"))
    scaled = np.clip((x - mean) / std, -5, 5)
    target = (y - scaler["target"]["mean"]) / scaler["target"]["std"]
    data = TensorDataset(torch.from_numpy(scaled), torch.from_numpy(target.astype(np.float32)))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    pl.Trainer(max_epochs=8, enable_model_summary=False, **quiet).fit(theirs, DataLoader(data, batch_size=512))
    assert fitted.summary["best_epoch"] == 7
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(next(ours.parameters()), next(nets.Lit(4).parameters()), atol=1e-2)


@pytest.mark.parametrize("name", ["Lit", "Plateau", "OnlyStep", "OnlyOptimizer"])
def test_stopped_at_every_step_it_gives_the_same_model(world: World, tmp_path: Path, name: str) -> None:
    config, beat = lit(name, checkpoint_seconds=0.0, max_epochs=2, accumulate_batches=2), StopAtEveryBeat()
    fit_fold(world.panel, world.folds, 0, config, tmp_path / "whole")

    until_done(lambda beat: fit_fold(world.panel, world.folds, 0, config, tmp_path / "cut", beat=beat), beat)

    assert beat.num_stops > 20
    assert model_files(tmp_path / "cut") == model_files(tmp_path / "whole")
    assert history(tmp_path / "cut") == history(tmp_path / "whole")
    rates = [epoch["learning_rate"] for epoch in history(tmp_path / "whole")]
    assert (rates[1] < rates[0]) == (name != "OnlyStep")  # type: ignore[operator] # numbers


def test_a_batch_in_parts_has_the_same_gradient_and_unknown_targets_are_left_out(world: World, tmp_path: Path) -> None:
    holes = world.copy(tmp_path)
    known = np.asarray(Panel(holes.panel).targets)[:, 0]
    some = np.random.default_rng(2).random(len(known)) < 0.2

    def dig(values: Any) -> None:  # noqa: ANN401 - an array
        values[some, 0] = np.nan

    edit(holes.panel, "targets", "<f4", (-1, 1), dig)
    config = lit("Sure", max_epochs=1)
    make_folds_record(holes.panel, config, tmp_path / "folds.json")
    for name, split in (("whole", MicroBatches()), ("parts", MicroBatches(4))):
        fit_fold(holes.panel, tmp_path / "folds.json", 0, config, tmp_path / name, split=split)
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.isfinite(value).all() for value in whole.values())
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-5)


def test_the_probe_measures_what_its_optimiser_keeps_and_what_it_imports() -> None:
    config = ModuleConfig(target=f"{FILE}:Lit")
    found = Measured.model_validate(probe(config, SHAPE, key="k", batch_size=64, room_bytes=2**30))

    moments = 2 * 4 * found.num_parameters  # RMSprop with momentum keeps a square and a momentum a weight
    assert moments <= found.optimizer_bytes <= moments + 4 * 4
    assert found.learning.sample_bytes > found.judging.sample_bytes > 0


@pytest.mark.parametrize(
    ("name", "choices", "text"),
    [
        ("Manual", {}, "takes its steps by itself"),
        ("TwoOptimizers", {}, "gives not one optimiser, found 2"),
        ("NeedsClosure", {}, "calls the model by itself cannot be used here, found LBFGS"),
        ("NoLoss", {}, r"training_step gives no loss, found \[4\]"),
        ("AsksMore", {}, "the training here has no trainer.callback_metrics; it has current_epoch"),
        ("Sequence", {"output": "sequence"}, "which steps of a sequence count"),
    ],
)
def test_what_cannot_be_kept_to_is_told_before_anything_is_planned(
    name: str, choices: dict[str, Any], text: str
) -> None:
    config = ModuleConfig.model_validate({"target": f"{FILE}:{name}", **choices})
    with pytest.raises(SeawallError, match=text):
        probe(config, SHAPE, key="k", batch_size=64, room_bytes=2**30)


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ({"learning_rate": 0.5}, "train.learning_rate: configure_optimizers of the module decides this"),
        ({"schedule": {"kind": "cosine"}}, "train.schedule"),
        ({"entity_weights": "inverse_variance"}, "training_step cannot be told the weights"),
        ({"loss": {"kind": "sum", "terms": [{"kind": "mse"}]}}, "training_step has a loss of its own"),
    ],
)
def test_choices_it_would_pass_over_are_refused(
    world: World, tmp_path: Path, choices: dict[str, Any], text: str
) -> None:
    with pytest.raises(SeawallError, match=text):
        fit_fold(world.panel, world.folds, 0, lit("Lit", **choices), tmp_path)


def test_a_batch_goes_by_names_too() -> None:
    x, y = arrays(256)
    settings = {"max_epochs": 2, "batch_size": 64, "device": "cpu"}
    first, second = (sw.fit(kind, (x, y), settings=settings) for kind in (nets.Lit, nets.ByName))
    assert first.history[-1]["train_loss"] == second.history[-1]["train_loss"]
