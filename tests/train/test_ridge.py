"""Ridge is the closed form on all samples at once, with the penalty valid prefers, and never looks ahead."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from seawall.models.config import RidgeConfig
from seawall.models.ridge import Ridge
from seawall.models.shape import ModelShape
from seawall.stores.panel import Panel
from seawall.train.artefacts import read_model
from seawall.train.config import TrainConfig
from seawall.train.folds_file import read_fold
from seawall.train.inference import scaled_gather, to_scaled
from seawall.train.predict import predict_fold
from seawall.train.segments import train_samples, valid_samples
from tests.train.worlds import World, change_from, planted_world, small_config

PENALTIES = (1e-4, 1e-2, 1.0)


def config_of(window: str, **choices: object) -> TrainConfig:
    return small_config(model={"kind": "ridge", "window": window, "penalties": PENALTIES}, **choices)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return planted_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("window", ["last", "lookback"])
@pytest.mark.parametrize("batch_size", [7, 512])
def test_the_weights_are_those_of_the_closed_form_and_of_the_penalty_best_on_valid(
    world: World, tmp_path: Path, window: str, batch_size: int
) -> None:
    copy, config = world.copy(tmp_path), config_of(window, batch_size=batch_size)
    copy.fit(config)
    panel, fold, fitted = Panel(copy.panel), read_fold(copy.folds, 0), read_model(copy.model)
    gather = scaled_gather(panel, config.lookback_periods, fitted.scaler, config.target_names)
    tables = []
    for samples in (train_samples(panel, fold, config), valid_samples(panel, fold, config)):
        rows = np.concatenate(list(samples.blocks()))
        x = gather.features(rows).astype(np.float64)
        inputs = x.reshape(len(rows), -1) if window == "lookback" else x[:, -1]
        tables.append((inputs, to_scaled(gather.target_values(rows), fitted.scaler)[:, 0].astype(np.float64)))
    (x_train, y_train), (x_valid, y_valid) = tables

    best = (np.inf, np.empty(0), 0.0)
    for penalty in PENALTIES:
        # The penalty as rows of data (an outside way to the same minimum), the constant as a free column.
        count, width = x_train.shape
        rows = np.sqrt(penalty * count) * np.eye(width)
        design = np.block([[x_train, np.ones((count, 1))], [rows, np.zeros((width, 1))]])
        solved = np.linalg.lstsq(design, np.concatenate([y_train, np.zeros(width)]), rcond=None)[0]
        error = float(np.square(y_valid - x_valid @ solved[:-1] - solved[-1]).sum())
        best = min(best, (error, solved[:-1], float(solved[-1])), key=lambda each: each[0])

    module = fitted.module
    assert isinstance(module, Ridge)
    np.testing.assert_allclose(module.weight.detach().numpy()[0], best[1], rtol=1e-7, atol=1e-9)
    assert module.bias.item() == pytest.approx(best[2], rel=1e-7, abs=1e-9)


def test_a_planted_linear_signal_is_found_out_of_sample(world: World, tmp_path: Path) -> None:
    copy, config = world.copy(tmp_path), config_of("lookback")
    summary = copy.fit(config)
    predict_fold(copy.panel, copy.folds, 0, config, copy.model, copy.predictions)

    table = pq.read_table(copy.predictions / "fold_00.parquet")
    targets = Panel(copy.panel).targets[table["row"].to_numpy()][:, 0]
    known = ~np.isnan(targets)

    assert np.corrcoef(table["prediction"].to_numpy()[known], targets[known])[0, 1] > 0.85
    assert summary["stopped"] == "solved"
    assert isinstance(summary["valid_ic"], float)
    assert summary["valid_ic"] > 0.5


def test_nothing_from_test_on_reaches_the_weights(world: World, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("ours", "theirs")]
    for folder in folders:
        folder.mkdir()
    ours, theirs = (world.copy(folder) for folder in folders)
    change_from(theirs.panel, 80)

    for each in (ours, theirs):
        each.fit(config_of("lookback"))

    weights = [(each.model / "model.safetensors").read_bytes() for each in (ours, theirs)]
    assert weights[0] == weights[1]


def test_the_plan_counts_the_weights_there_are() -> None:
    shape = ModelShape(num_features=3, num_outputs=2, lookback_periods=5)

    for config in (RidgeConfig(), RidgeConfig(window="lookback")):
        count = sum(2 * parameter.numel() for parameter in Ridge(config, shape).parameters())
        assert count == config.num_parameters(shape)
