"""Learning is real: planted signals are found out of sample, and in pure noise nothing is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from seawall.arrays import Float64
from seawall.metrics import information_coefficient
from seawall.stores.panel import Panel
from seawall.train.config import TrainConfig
from seawall.train.predict import predict_fold
from tests.support import make_panel
from tests.train.test_inputs import with_attributes
from tests.train.worlds import World, edit

pytestmark = pytest.mark.slow

ATTAINABLE_IC = 0.4
"""Correlation of the planted signal with the target: what a model that knew it would reach, but for chance."""
NUM_DATES, TRAIN_DATES, VALID_DATES, TEST_DATES = 400, 240, 60, 90
MOST_T = 3.3
"""A mean IC this many standard errors off 0 comes by chance once in a thousand times."""

Signal = Callable[[Float64], Float64]


def linear(x: Float64) -> Float64:
    return x[:, 0] - 0.5 * x[:, 1]


def non_linear(x: Float64) -> Float64:
    """An interaction, of which a linear model sees nothing."""
    return x[:, 0] * x[:, 1]


def noise(x: Float64) -> Float64:
    return np.zeros(len(x))


def world_of(folder: Path, signal: Signal, *, leak: float = 0.0) -> tuple[World, Float64]:
    """Independent normal features and a target that holds the signal; with ``leak``, a feature holds the target."""
    panel = make_panel(folder, num_entities=160, num_dates=NUM_DATES)
    rng = np.random.default_rng(7)
    features = rng.normal(size=panel.features.shape)
    raw = signal(features)
    known = raw / raw.std() if raw.std() else raw
    share = ATTAINABLE_IC if raw.std() else 0.0
    target = 0.02 * (share * known + np.sqrt(1 - share**2) * rng.normal(size=len(known)))
    features[:, 0] += leak * target / target.std()

    def plant(values: np.ndarray) -> None:
        values[:, 0] = np.where(np.isnan(values[:, 0]), np.nan, target)

    def see(values: np.ndarray) -> None:
        values[:] = features

    edit(panel.path, "targets", "<f4", (-1, 1), plant)
    edit(panel.path, "returns", "<f8", (-1, 1), plant)
    edit(panel.path, "features", "<f4", (-1, features.shape[1]), see)
    return with_attributes(World(folder)), known


def daily_ics(world: World, model: dict[str, object], known: Float64) -> tuple[Float64, Float64]:
    """Out of sample, the IC of each date: of the model, and of the planted signal itself."""
    folds = {"train": TRAIN_DATES, "valid": VALID_DATES, "test": TEST_DATES}
    choices = {"lookback_periods": 2, "folds": folds, "model": model, "loss": {"kind": "mse"}, "batch_size": 256}
    target = Panel(world.panel).target_specs[0].name
    config = TrainConfig.model_validate(
        {"target": target, "max_epochs": 12, "patience": 3, "learning_rate": 0.005, "seed": 1, **choices}
    )
    world.fit(config)
    predict_fold(world.panel, world.folds, 0, config, world.model, world.predictions)
    table = pq.read_table(world.predictions / "fold_00.parquet")
    rows, predicted = (table.column(name).to_numpy() for name in ("row", "prediction"))
    panel = Panel(world.panel)
    targets, dates = panel.targets[rows][:, 0], panel.time_index[rows]
    both = [
        [information_coefficient(values[here], targets[here]) for values in (predicted, known[rows])]
        for here in (np.flatnonzero((dates == date) & np.isfinite(targets)) for date in np.unique(dates))
        if len(here) > 20
    ]
    found = np.array(both)
    return found[:, 0], found[:, 1]


NETWORKS = [
    {"kind": "lstm", "hidden_size": 16, "dropout": 0.0},
    {"kind": "lstm_attention", "hidden_size": 16, "dropout": 0.0},
    {"kind": "branch_lstm", "hidden_size": 16, "dropout": 0.0, "static": ["area", "slope"]},
    {"kind": "tcn_attention", "hidden_size": 16, "dropout": 0.0, "num_blocks": 1, "embedding_size": 0},
    {"kind": "lightgbm"},
]


@pytest.mark.parametrize("signal", [linear, non_linear])
@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: str(model["kind"]))
def test_networks_and_trees_reach_nine_tenths_of_what_a_signal_allows(
    tmp_path: Path, model: dict[str, object], signal: Signal
) -> None:
    if model["kind"] == "lightgbm":
        pytest.importorskip("lightgbm", reason="the extra lightgbm is not installed")
    world, known = world_of(tmp_path, signal)

    reached, allowed = daily_ics(world, model, known)

    assert allowed.mean() > 0.2
    print(f"{model['kind']} {signal.__name__}: IC {reached.mean():.4f} of {allowed.mean():.4f}")
    assert reached.mean() >= 0.9 * allowed.mean()


def test_ridge_finds_what_is_linear_and_nothing_of_what_is_not(tmp_path: Path) -> None:
    for name, signal in (("linear", linear), ("other", non_linear)):
        (tmp_path / name).mkdir()
        world, known = world_of(tmp_path / name, signal)
        reached, allowed = daily_ics(world, {"kind": "ridge"}, known)
        print(f"ridge {signal.__name__}: IC {reached.mean():.4f} of {allowed.mean():.4f}")
        if signal is linear:
            assert reached.mean() >= 0.9 * allowed.mean() > 0.2
        else:
            assert abs(reached.mean()) < 0.1 * allowed.mean()


def t_of_mean(ics: Float64) -> float:
    known = ics[np.isfinite(ics)]
    return float(known.mean() / (known.std(ddof=1) / np.sqrt(len(known)))) if known.std() else 0.0


@pytest.mark.parametrize("model", [{"kind": "ridge"}, NETWORKS[0]], ids=lambda model: str(model["kind"]))
def test_in_noise_nothing_is_found_but_a_leak_would_be(tmp_path: Path, model: dict[str, object]) -> None:
    for name, leak in (("clean", 0.0), ("leaking", 0.2)):
        (tmp_path / name).mkdir()
        world, known = world_of(tmp_path / name, noise, leak=leak)
        t = t_of_mean(daily_ics(world, model, known)[0])
        print(f"{model['kind']} {name}: t {t:.2f}")
        assert abs(t) < MOST_T if leak == 0.0 else t > MOST_T
