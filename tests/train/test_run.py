"""folds.json and the fitted model: what they hold, that the model learns, and that mistakes are told."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from seawall.errors import ConfigError, DataError, StageError
from seawall.stores.panel import Panel
from seawall.stores.scalers import load_scaler
from seawall.train.artefacts import read_model
from seawall.train.folds_file import read_fold
from seawall.train.inference import predict_scaled, scaled_gather
from seawall.train.run import fit_fold, make_folds_record
from seawall.train.segments import train_samples, valid_samples
from tests.support import make_panel
from tests.train.worlds import World, edit, planted_world, small_config


@pytest.fixture
def world(tmp_path: Path) -> World:
    return planted_world(tmp_path)


def test_folds_json_holds_segments_times_and_counts(world: World) -> None:
    config = small_config()

    summary = make_folds_record(world.panel, config, world.folds)

    folds = json.loads(world.folds.read_text())["folds"]
    panel = Panel(world.panel)
    assert summary["num_folds"] == len(folds) == 2
    assert set(folds[0]) == {"fold", "content_key", "train", "valid", "test", "purged", "embargo"}
    assert set(folds[0]["train"]) == {"start", "stop", "first_time", "last_time", "num_samples", "num_purged"}
    assert (folds[0]["train"]["first_time"], folds[0]["test"]["last_time"]) == ("2019-04-14", "2019-07-22")
    fold = read_fold(world.folds, 0)
    assert (fold.train, fold.valid, fold.test) == ((0, 60), (60, 80), (80, 100))
    for name, samples in (("train", train_samples(panel, fold, config)), ("valid", valid_samples(panel, fold, config))):
        assert folds[0][name]["num_samples"] == samples.num_samples > 0
        assert folds[0][name]["num_purged"] == samples.num_purged > 0
    assert folds[0]["test"]["num_purged"] == 0
    assert summary["num_predicted"] == sum(fold["test"]["num_samples"] for fold in folds)


def test_an_embargo_asks_targets_to_be_known_earlier(world: World) -> None:
    panel = Panel(world.panel)
    make_folds_record(world.panel, small_config(), world.folds)
    fold = read_fold(world.folds, 0)
    config = small_config(folds={"train": 60, "valid": 20, "test": 20, "embargo_periods": 5})

    rows = np.concatenate(list(train_samples(panel, fold, config).blocks()))

    assert panel.target_end[rows, 0].max() == 54


def test_training_learns_a_planted_signal(world: World) -> None:
    summary = world.fit(small_config(max_epochs=15, patience=15, model={"hidden_size": 8, "dropout": 0.0}))

    epochs = json.loads((world.model / "history.json").read_text())["epochs"]
    assert epochs[-1]["train_loss"] < 0.5 * epochs[0]["train_loss"]
    best = epochs[int(str(summary["best_epoch"]))]
    assert best["valid_loss"] == min(epoch["valid_loss"] for epoch in epochs)
    assert best["valid_ic"] > 0.5


def test_the_reported_valid_loss_and_ic_are_those_of_all_valid_samples(world: World) -> None:
    config = small_config(predict_batch_size=7)
    world.fit(config)
    panel, fold, fitted = Panel(world.panel), read_fold(world.folds, 0), read_model(world.model)
    rows = np.concatenate(list(valid_samples(panel, fold, config).blocks()))

    gather = scaled_gather(panel, 4, fitted.scaler, ("fwd",))
    predicted = predict_scaled(fitted.module, gather, rows, torch.device("cpu")).numpy()[:, 0].astype(np.float64)

    target = panel.targets[rows, 0].astype(np.float64)
    size = np.abs(predicted - (target - fitted.scaler.target.mean) / fitted.scaler.target.std)
    loss = np.where(size <= 1, 0.5 * size**2, size - 0.5).mean()
    dates = panel.time_index[rows]
    with np.errstate(all="ignore"):
        ics = [np.corrcoef(predicted[dates == d], target[dates == d])[0, 1] for d in np.unique(dates)]
    history = json.loads((world.model / "history.json").read_text())
    best = history["epochs"][history["best_epoch"]]
    assert best["valid_loss"] == pytest.approx(loss, rel=1e-5)
    assert best["valid_ic"] == pytest.approx(np.nanmean(ics), abs=1e-5)
    ranks = [spearmanr(predicted[dates == d], target[dates == d], nan_policy="omit")[0] for d in np.unique(dates)]
    assert best["valid_rank_ic"] == pytest.approx(np.nanmean(ranks), abs=1e-5)


def test_in_sample_the_last_dates_of_train_are_judged_beside_valid(world: World) -> None:
    config = small_config()
    world.fit(config)
    panel, fold, fitted = Panel(world.panel), read_fold(world.folds, 0), read_model(world.model)
    rows = np.concatenate(list(train_samples(panel, fold, config).blocks()))
    first = fold.train[1] - (fold.valid[1] - fold.valid[0])
    rows = rows[panel.time_index[rows] >= first]

    gather = scaled_gather(panel, 4, fitted.scaler, ("fwd",))
    predicted = predict_scaled(fitted.module, gather, rows, torch.device("cpu")).numpy()[:, 0].astype(np.float64)

    target, dates = panel.targets[rows, 0].astype(np.float64), panel.time_index[rows]
    assert 10 < len(np.unique(dates)) <= 20
    ics = [np.corrcoef(predicted[dates == d], target[dates == d])[0, 1] for d in np.unique(dates)]
    ranks = [spearmanr(predicted[dates == d], target[dates == d])[0] for d in np.unique(dates)]
    history = json.loads((world.model / "history.json").read_text())
    best = history["epochs"][history["best_epoch"]]
    assert best["train_ic"] == pytest.approx(np.mean(ics), abs=1e-5)
    assert best["train_rank_ic"] == pytest.approx(np.mean(ranks), abs=1e-5)


def test_a_model_folder_holds_four_files_and_no_checkpoint(world: World) -> None:
    world.fit(small_config())

    assert sorted(p.name for p in world.model.iterdir()) == [
        "history.json",
        "model.json",
        "model.safetensors",
        "scaler.json",
    ]
    record = json.loads((world.model / "model.json").read_text())
    assert (record["format"], record["features"]) == ("seawall-model/1", ["f0", "f1", "f2"])
    history = json.loads((world.model / "history.json").read_text())
    assert set(history) == {"epochs", "reports", "best_epoch", "stopped"}
    assert set(history["epochs"][0]) == {
        *(f"valid_{name}" for name in ("mse", "mae", "r2", "pearson", "ccc")),
        "epoch",
        "train_loss",
        "valid_loss",
        "valid_ic",
        "valid_rank_ic",
        "train_ic",
        "train_rank_ic",
        "learning_rate",
        "seconds",
        "loader_wait_seconds",
        "best",
    }


def test_the_scaler_is_that_of_the_train_rows(world: World) -> None:
    config = small_config()
    world.fit(config)
    panel = Panel(world.panel)

    scaler = load_scaler(world.model / "scaler.json")

    seen = panel.features[panel.time_index < 60].astype(np.float64)
    np.testing.assert_allclose([c.mean for c in scaler.features], np.nanmean(seen, axis=0), rtol=1e-9)
    np.testing.assert_allclose([c.std for c in scaler.features], np.nanstd(seen, axis=0), rtol=1e-9)
    samples = train_samples(panel, read_fold(world.folds, 0), config)
    learnt = np.concatenate([panel.targets[rows, 0] for rows in samples.blocks()]).astype(np.float64)
    assert (scaler.target.mean, scaler.target.std) == pytest.approx((learnt.mean(), learnt.std()), rel=1e-9)


def test_training_stops_when_patience_is_over_and_keeps_the_best_weights(world: World) -> None:
    summary = world.fit(small_config(max_epochs=50, patience=2, learning_rate=0.2))

    history = json.loads((world.model / "history.json").read_text())
    assert history["stopped"] == summary["stopped"] == "patience"
    assert len(history["epochs"]) == history["best_epoch"] + 1 + 2
    assert [epoch["epoch"] for epoch in history["epochs"] if epoch["best"]] == [history["best_epoch"]]


def test_stopping_by_ic_keeps_the_epoch_with_the_highest_ic(world: World) -> None:
    world.fit(small_config(max_epochs=6, patience=6, early_stopping="valid_ic"))

    history = json.loads((world.model / "history.json").read_text())
    ics = [epoch["valid_ic"] for epoch in history["epochs"]]
    assert history["best_epoch"] == ics.index(max(ics))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(world: World, tmp_path: Path) -> None:
    world.fit(small_config())
    twin, other = World(tmp_path / "twin"), World(tmp_path / "other")
    for copy in (twin, other):
        world.copy(copy.folder)

    twin.fit(small_config())
    other.fit(small_config(seed=1))

    first, second, third = (w.model.joinpath("model.safetensors").read_bytes() for w in (world, twin, other))
    assert first == second
    assert first != third


def test_read_ahead_changes_no_bit(world: World, tmp_path: Path) -> None:
    config = small_config()
    world.fit(config)

    fit_fold(world.panel, world.folds, 0, config, tmp_path / "again", random_access=True)

    again = (tmp_path / "again" / "model.safetensors").read_bytes()
    assert again == (world.model / "model.safetensors").read_bytes()


def test_training_leaves_the_settings_of_torch_as_it_found_them(world: World) -> None:
    torch.manual_seed(3)
    before = (torch.get_num_threads(), torch.get_deterministic_debug_mode(), torch.get_rng_state().tolist())

    world.fit(small_config(max_epochs=1))

    assert (torch.get_num_threads(), torch.get_deterministic_debug_mode(), torch.get_rng_state().tolist()) == before


def test_a_loss_that_is_not_finite_stops_training_and_names_the_step(world: World) -> None:
    config = small_config(learning_rate=1e30, max_epochs=2)

    with pytest.raises(StageError, match=r"train fold 0, epoch \d, step \d+: the loss is not finite, found (nan|inf)"):
        world.fit(config)

    assert not (world.model / "model.json").exists()


def test_a_segment_without_samples_is_refused_by_name(tmp_path: Path) -> None:
    world = World(tmp_path)
    make_panel(tmp_path, num_dates=60)

    with pytest.raises(DataError, match=r"the train segment of fold 0 has no sample with 40 rows of lookback"):
        make_folds_record(
            world.panel, small_config(lookback_periods=40, folds={"train": 30, "valid": 10, "test": 10}), world.folds
        )


def test_unknown_names_are_refused_with_the_nearest_ones(world: World) -> None:
    with pytest.raises(ConfigError, match=r"targets: unknown column, found 'fwdd'\. Did you mean 'fwd'"):
        make_folds_record(world.panel, small_config(target="fwdd"), world.folds)
    with pytest.raises(ConfigError, match=r"features: unknown column, found 'f7'"):
        world.fit(small_config(features=["f0", "f7"]))
    with pytest.raises(ConfigError, match=r"no such fold, found 9, allowed: 0 to 1"):
        fit_fold(world.panel, world.folds, 9, small_config(), world.model)


def test_a_feature_without_values_in_train_is_refused_by_name(world: World) -> None:
    def blank(values: object) -> None:
        assert isinstance(values, np.ndarray)
        values[:, 1] = math.nan

    edit(world.panel, "features", "<f4", (-1, 3), blank)

    with pytest.raises(DataError, match="column 'f1' has no value in the train rows"):
        world.fit(small_config())
    world.fit(small_config(features=["f2", "f0"]))
    assert [c.name for c in load_scaler(world.model / "scaler.json").features] == ["f2", "f0"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_asking_for_a_gpu_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(ConfigError, match=r"train\.device: no GPU can be used here"):
        world.fit(small_config(device="cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_gpu_learns_the_planted_signal_like_a_cpu(world: World, tmp_path: Path) -> None:
    choices: dict[str, object] = {"max_epochs": 10, "patience": 10, "model": {"hidden_size": 8, "dropout": 0.0}}
    on_cpu = world.fit(small_config(**choices))
    twin = world.copy(tmp_path / "gpu")

    on_gpu = twin.fit(small_config(**choices, device="cuda"))

    assert float(str(on_gpu["valid_loss"])) == pytest.approx(float(str(on_cpu["valid_loss"])), rel=0.05)
    assert float(str(on_gpu["valid_ic"])) == pytest.approx(float(str(on_cpu["valid_ic"])), abs=0.05)
