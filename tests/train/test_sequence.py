"""Models of every step: what a step may tell, what is judged, what is stored of a row."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError

from seawall.arrays import Float32
from seawall.losses.config import HuberConfig
from seawall.losses.objective import Objective, terms_of
from seawall.models.lstm import Lstm
from seawall.stores.panel import Panel
from seawall.stores.predictions import PredictionStore
from seawall.stores.slots import SlotFile
from seawall.train.artefacts import read_model
from seawall.train.config import TrainConfig
from seawall.train.folds_file import read_fold
from seawall.train.inference import predict_scaled, scaled_gather, to_scaled, to_target_unit
from seawall.train.predict import predict_fold
from seawall.train.segments import learnt_steps, predicted_samples, purge_of, train_samples, valid_samples
from seawall.train.validate import Validator
from seawall.windows.gather import Beside
from seawall.windows.samples import date_major_rows
from seawall.windows.steps import step_rows, thin, window_ends
from tests.train.worlds import World, change_from, planted_world, small_config

SEQUENCE = {"kind": "lstm", "output": "sequence", "hidden_size": 4, "dropout": 0.2}


def sequence_config(**choices: object) -> TrainConfig:
    return small_config(**{"model": SEQUENCE, "lookback_periods": 6, **choices})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = planted_world(tmp_path_factory.mktemp("world"))
    world.fit(sequence_config())
    return world


def stored(world: World, config: TrainConfig, folder: Path) -> tuple[list[int], Float32]:
    predict_fold(world.panel, world.folds, 0, config, world.model, folder)
    table = pq.read_table(folder / "fold_00.parquet")
    return table.column("row").to_pylist(), table.column("prediction").to_numpy()


def windows_of(world: World, config: TrainConfig, ends: list[int]) -> Float32:
    """Give what the model says of every step of the windows that end at these rows, one window at a time."""
    panel, fitted = Panel(world.panel), read_model(world.model)
    gather = scaled_gather(panel, config.lookback_periods, fitted.scaler, config.target_names)
    told = [
        predict_scaled(fitted.module, gather, np.array([end]), torch.device("cpu"), every_step=True) for end in ends
    ]
    return to_target_unit(torch.cat(told).numpy(), fitted.scaler)


def test_a_step_counts_in_train_only_where_its_own_row_may_be_learnt_from(world: World) -> None:
    panel, fold, config = Panel(world.panel), read_fold(world.folds, 0), sequence_config()
    steps = learnt_steps(panel, fold, config)
    assert steps is not None
    for allowed, (start, stop), known_before in zip(
        steps, (fold.train, fold.valid), (fold.valid[0], fold.test[0]), strict=True
    ):
        rows = np.arange(panel.shape.num_rows)[allowed.contains(np.arange(panel.shape.num_rows))]
        dates = panel.time_index[rows]
        assert start <= dates.min()
        assert dates.max() < stop
        assert int(panel.target_end[rows].max()) < known_before
        assert allowed.num_purged > 0


def test_batches_hide_every_other_step(world: World) -> None:
    panel, fold, config = Panel(world.panel), read_fold(world.folds, 0), sequence_config()
    steps, samples = learnt_steps(panel, fold, config), valid_samples(panel, fold, config)
    assert steps is not None
    scaler = read_model(world.model).scaler
    gather = scaled_gather(panel, 6, scaler, ("fwd",), beside=Beside(sequence_targets=True, steps=steps[1]))
    rows = samples.rows(np.arange(samples.num_samples))
    batch = gather.batch(rows)
    grid = step_rows(rows, 6)
    expected = np.where(steps[1].contains(grid), panel.targets[grid][..., 0], np.nan)

    assert batch.y.shape == (len(rows), 6, 1)
    np.testing.assert_array_equal(batch.y[..., 0], expected)
    assert np.isnan(expected).any()
    assert np.isfinite(expected).any()


def test_the_loss_of_a_batch_is_the_mean_over_its_known_steps() -> None:
    rng = np.random.default_rng(0)
    predicted, target = (torch.from_numpy(rng.standard_normal((5, 4, 2)).astype(np.float32)) for _ in range(2))
    target[0, 1] = np.nan
    target[3, :, 1] = np.nan
    objective = Objective(terms_of(HuberConfig(), ("a", "b")))
    values = objective.values(predicted, target, None)

    expected = sum(
        float(torch.nn.functional.huber_loss(predicted[..., k][known], target[..., k][known]))
        for k in range(2)
        for known in [~torch.isnan(target[..., k])]
    )
    assert [value.count for value in values] == [19, 15]
    assert objective.mean([float(v.total) for v in values], [v.count for v in values]) == pytest.approx(expected)


def test_valid_judges_every_step_by_errors_and_the_last_by_ic(world: World) -> None:
    panel, fold, config = Panel(world.panel), read_fold(world.folds, 0), sequence_config()
    steps, valid = learnt_steps(panel, fold, config), valid_samples(panel, fold, config)
    fitted = read_model(world.model)
    assert steps is not None
    gather = scaled_gather(panel, 6, fitted.scaler, ("fwd",), beside=Beside(sequence_targets=True, steps=steps[0]))
    objective = Objective(terms_of(config.loss, ("fwd",)))
    validate = Validator(gather, valid, fold.valid, fitted.scaler, objective, 32, torch.device("cpu"), steps[1])
    found = validate(fitted.module, lambda *_, **__: None, "valid")

    rows = valid.rows(np.arange(valid.num_samples))
    grid = step_rows(rows, 6)
    wanted = np.where(steps[1].contains(grid)[..., None], panel.targets[grid], np.nan)
    target = to_scaled(wanted, fitted.scaler)[..., 0]
    predicted = predict_scaled(fitted.module, gather, rows, torch.device("cpu"), every_step=True).numpy()[..., 0]
    assert found.targets[0].mse == pytest.approx(float(np.nanmean((predicted - target) ** 2)), rel=1e-5)
    history = json.loads((world.model / "history.json").read_text())
    best = history["epochs"][history["best_epoch"]]
    assert (best["valid_loss"], best["valid_ic"]) == pytest.approx((found.loss, found.targets[0].ic))


def test_no_target_of_a_later_segment_moves_a_model(world: World, tmp_path: Path) -> None:
    other = world.copy(tmp_path)
    change_from(other.panel, 80)
    other.fit(sequence_config())

    assert (other.model / "model.safetensors").read_bytes() == (world.model / "model.safetensors").read_bytes()


def test_train_does_not_see_what_is_known_only_in_valid(world: World, tmp_path: Path) -> None:
    config = sequence_config(max_epochs=1)
    weights = []
    for name, moved in (("one", False), ("two", True)):
        copy = world.copy(tmp_path / name)
        if moved:
            change_from(copy.panel, 60)
        copy.fit(config)
        weights.append((copy.model / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_last_stores_the_last_step_of_a_window_of_each_row(world: World, tmp_path: Path) -> None:
    rows, predictions = stored(world, sequence_config(), tmp_path)
    told = windows_of(world, sequence_config(), rows)

    np.testing.assert_allclose(predictions, told[:, -1, 0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("stride", [1, 2, 6])
def test_mean_stores_the_mean_over_all_windows_a_row_is_a_step_of(world: World, tmp_path: Path, stride: int) -> None:
    config = sequence_config(sequence={"reduce": "mean", "stride_periods": stride})
    rows, predictions = stored(world, config, tmp_path)
    ends = ends_of(world, config, stride, overlap=True)
    told = dict(zip(ends, windows_of(world, config, ends), strict=True))

    expected = [np.mean([told[e][5 - (e - row), 0] for e in ends if row <= e < row + 6]) for row in rows]
    np.testing.assert_allclose(predictions, expected, rtol=1e-4, atol=1e-7)


def test_non_overlapping_stores_each_row_of_the_one_window_that_holds_it_first(world: World, tmp_path: Path) -> None:
    config = sequence_config(sequence={"reduce": "non_overlapping"})
    rows, predictions = stored(world, config, tmp_path)
    ends = ends_of(world, config, 6, overlap=False)
    told = dict(zip(ends, windows_of(world, config, ends), strict=True))
    first = {row: min(e for e in ends if row <= e < row + 6) for row in rows}

    assert len(ends) < len(rows) / 3
    expected = [told[first[row]][5 - (first[row] - row), 0] for row in rows]
    np.testing.assert_allclose(predictions, expected, rtol=1e-4, atol=1e-7)


def ends_of(world: World, config: TrainConfig, stride: int, *, overlap: bool) -> list[int]:
    panel, fold = Panel(world.panel), read_fold(world.folds, 0)
    found: list[int] = window_ends(predicted_samples(panel, fold, config), 6, stride=stride, overlap=overlap).tolist()
    return found


def test_the_stored_rows_are_those_of_any_model_and_sorted_alike(world: World, tmp_path: Path) -> None:
    panel, fold = Panel(world.panel), read_fold(world.folds, 0)
    for reduce in ("last", "mean", "non_overlapping"):
        config = sequence_config(sequence={"reduce": reduce})
        rows, _ = stored(world, config, tmp_path / reduce)
        assert rows == date_major_rows(panel, predicted_samples(panel, fold, config), fold.test).tolist()
        assert PredictionStore(tmp_path / reduce).num_rows == len(rows)


@pytest.mark.parametrize("reduce", ["last", "mean", "non_overlapping"])
def test_no_later_feature_moves_an_earlier_stored_value(world: World, tmp_path: Path, reduce: str) -> None:
    config = sequence_config(sequence={"reduce": reduce, "stride_periods": 2 if reduce == "mean" else 1})
    rows, before = stored(world, config, tmp_path / "before")
    other = world.copy(tmp_path / "other")
    change_from(other.panel, 90)
    predict_fold(other.panel, world.folds, 0, config, world.model, tmp_path / "after")
    after = pq.read_table(tmp_path / "after" / "fold_00.parquet").column("prediction").to_numpy()

    early = Panel(world.panel).time_index[np.array(rows)] < 90
    np.testing.assert_allclose(before[early], after[early], rtol=1e-5, atol=1e-8)
    assert not np.allclose(before[~early], after[~early])


def test_an_interrupted_prediction_goes_on_to_the_same_file(world: World, tmp_path: Path) -> None:
    config = sequence_config(sequence={"reduce": "mean"})

    def stop_late(substep: str, done: int = 0, total: int = 0, **_: object) -> None:
        if substep == "predict" and done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_fold(world.panel, world.folds, 0, config, world.model, tmp_path / "cut", beat=stop_late)
    header = json.loads((tmp_path / "cut" / "fold_00.slots").read_bytes()[:4096])
    assert (header["num_steps"], header["num_outputs"], header["stride_periods"]) == (6, 6, 1)
    summary = predict_fold(world.panel, world.folds, 0, config, world.model, tmp_path / "cut")
    predict_fold(world.panel, world.folds, 0, config, world.model, tmp_path / "whole")

    assert 0 < summary["num_computed"] < summary["num_rows"]
    files = [(tmp_path / name / "fold_00.parquet").read_bytes() for name in ("cut", "whole")]
    assert files[0] == files[1]


def test_a_stride_takes_every_other_sample_of_each_run_and_learns_from_them(world: World, tmp_path: Path) -> None:
    panel, fold = Panel(world.panel), read_fold(world.folds, 0)
    whole = train_samples(panel, fold, sequence_config())
    thinned = thin(whole, 3)

    runs = zip(whole.first_rows, whole.lengths, strict=True)
    taken = [row for first, length in runs for row in range(first, first + length, 3)]
    assert thinned.rows(np.arange(thinned.num_samples)).tolist() == taken
    copy = world.copy(tmp_path)
    summary = copy.fit(sequence_config(sequence={"stride_periods": 3}, order="blocks"))
    assert summary["num_train_samples"] == len(taken)


def test_blocks_hide_steps_as_shuffle_does(world: World, tmp_path: Path) -> None:
    losses = []
    for order in ("shuffle", "blocks"):
        copy = world.copy(tmp_path / order)
        copy.fit(sequence_config(order=order, max_epochs=1, batch_size=100_000))
        losses.append(json.loads((copy.model / "history.json").read_text())["epochs"][0]["train_loss"])
    # One batch of all samples, its own order; dropout draws other masks, which a model of zeros does not feel.
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_saved_model_tells_what_is_to_be_stored_of_a_row(world: World, tmp_path: Path) -> None:
    copy, config = world.copy(tmp_path), sequence_config(sequence={"reduce": "mean"}, max_epochs=1)
    copy.fit(config)
    told = TrainConfig.model_validate(read_model(copy.model).record["config"])

    assert told.sequence == config.sequence
    assert told.semantic() == config.semantic()


def test_what_is_stored_of_a_row_is_no_part_of_the_model() -> None:
    mean, last = (sequence_config(sequence={"reduce": reduce, "stride_periods": 2}) for reduce in ("mean", "last"))

    assert mean.semantic() == last.semantic()
    assert "sequence" not in small_config().semantic()


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        ({"model": {"kind": "ridge", "output": "sequence"}}, "ridge predicts one value a sample"),
        ({"loss": {"kind": "ic"}}, "a sequence has many dates"),
        ({"sequence": {"stride_periods": 7}}, "more than lookback_periods"),
        ({"model": {"kind": "lstm"}, "sequence": {"reduce": "mean"}}, "only a model with output: sequence"),
    ],
)
def test_what_makes_no_sense_is_refused(choices: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        sequence_config(**choices)


def test_slots_of_another_stride_are_started_anew(tmp_path: Path) -> None:
    sizes = {"num_slots": 3, "num_outputs": 4, "key": "k"}
    with SlotFile(tmp_path / "a.slots", **sizes, num_steps=4, stride_periods=1) as slots:  # type: ignore[arg-type] # a dict of both
        slots.write(np.arange(3), np.ones((3, 4), np.float32))
    with SlotFile(tmp_path / "a.slots", **sizes, num_steps=4, stride_periods=2) as slots:  # type: ignore[arg-type] # a dict of both
        assert len(slots.missing()) == 3


def test_the_model_is_of_every_step(world: World) -> None:
    module = read_model(world.model).module
    assert isinstance(module, Lstm)
    assert module(torch.zeros(2, 6, 3)).shape == (2, 6, 1)
    assert purge_of(Panel(world.panel), sequence_config()).lookback_periods == 6
