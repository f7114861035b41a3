"""A model on its own train segment: every row it learnt from, judged as test is; SciPy is the judge."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from seawall.arrays import Float32, Int64
from seawall.errors import FormatError
from seawall.metrics import PointwiseMoments
from seawall.stores.in_sample import in_sample_file, read_in_sample
from seawall.stores.panel import Panel
from seawall.train.artefacts import read_model
from seawall.train.config import TrainConfig
from seawall.train.folds_file import read_fold
from seawall.train.in_sample import FoldFiles, score_in_sample
from seawall.train.inference import predict_scaled, scaled_gather, to_target_unit
from seawall.train.segments import train_samples
from tests.train.worlds import World, change_from, planted_world, small_config, three_target_config, three_target_world

CONFIG = small_config(max_epochs=3, predict_batch_size=50)
MIN_NAMES = 5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = planted_world(tmp_path_factory.mktemp("world"))
    world.fit(CONFIG)
    return world


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = three_target_world(tmp_path_factory.mktemp("three"))
    world.fit(three_target_config())
    return world


def files(world: World, predictions: Path) -> FoldFiles:
    return FoldFiles(world.panel, world.folds, 0, world.model, predictions)


def all_of_train(world: World, config: TrainConfig) -> tuple[Int64, Float32]:
    """Every row of train and its prediction, at once."""
    panel, fitted = Panel(world.panel), read_model(world.model)
    samples = train_samples(panel, read_fold(world.folds, 0), config)
    rows = samples.rows(np.arange(samples.num_samples))
    gather = scaled_gather(
        panel, config.lookback_periods, fitted.scaler, config.target_names, beside=fitted.inputs.beside(panel)
    )
    module = fitted.module
    device = next(module.parameters()).device
    return rows, to_target_unit(predict_scaled(module, gather, rows, device).numpy(), fitted.scaler)


@pytest.mark.parametrize("which", ["world", "three"])
def test_every_row_of_train_is_judged_date_by_date(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    world: World = request.getfixturevalue(which)
    config = CONFIG if which == "world" else three_target_config()
    num_computed = score_in_sample(files(world, tmp_path), config, MIN_NAMES)

    rows, predicted = all_of_train(world, config)
    panel = Panel(world.panel)
    dates = np.asarray(panel.time_index[rows])
    assert num_computed == len(rows) > 300
    for number, target in enumerate(config.target_names):
        actual = np.asarray(panel.returns[rows, panel.column_index("targets", target)])
        found = read_in_sample(in_sample_file(tmp_path, 0), target)
        assert len(found.ic) == len(np.unique(dates))
        for place, date in enumerate(np.unique(dates)):
            own = (dates == date) & np.isfinite(actual)
            pair = predicted[own, number].astype(np.float64), actual[own]
            few = own.sum() < MIN_NAMES
            ic, rank = (math.nan, math.nan) if few else (f(*pair).statistic for f in (stats.pearsonr, stats.spearmanr))
            np.testing.assert_allclose(found.ic[place], ic, rtol=0, atol=1e-5)
            np.testing.assert_allclose(found.rank_ic[place], rank, rtol=0, atol=0.05)  # near ties of other batches
        moments = PointwiseMoments.from_state(found.moments).result()
        known = np.isfinite(actual)
        assert moments.n == known.sum()
        error = predicted[known, number] - actual[known]
        assert moments.mse == pytest.approx(float(np.square(error).mean()), rel=1e-5)


def test_a_stopped_pass_goes_on_to_the_same_bytes_and_a_finished_one_is_kept(world: World, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    num_rows = score_in_sample(files(world, whole), CONFIG, MIN_NAMES)

    def stop(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_in_sample(files(world, cut), CONFIG, MIN_NAMES, beat=stop)
    assert 0 < score_in_sample(files(world, cut), CONFIG, MIN_NAMES) < num_rows

    assert in_sample_file(cut, 0).read_bytes() == in_sample_file(whole, 0).read_bytes()
    assert score_in_sample(files(world, cut), CONFIG, MIN_NAMES) == 0
    assert sorted(path.name for path in (cut / "in_sample").iterdir()) == ["fold_00.parquet"]
    assert score_in_sample(files(world, cut), CONFIG, MIN_NAMES + 3) == num_rows


def test_what_comes_after_train_changes_no_bit(world: World, tmp_path: Path) -> None:
    score_in_sample(files(world, tmp_path), CONFIG, MIN_NAMES)
    other = world.copy(tmp_path / "other")
    change_from(other.panel, read_fold(world.folds, 0).valid[0])
    changed = FoldFiles(other.panel, world.folds, 0, world.model, tmp_path / "after")
    score_in_sample(changed, CONFIG, MIN_NAMES)
    before, after = (read_in_sample(in_sample_file(folder, 0), "fwd") for folder in (tmp_path, tmp_path / "after"))
    np.testing.assert_array_equal(before.ic, after.ic)
    assert before.moments == after.moments


def test_a_missing_or_damaged_file_says_how_to_make_it_again(world: World, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="--from predict"):
        read_in_sample(in_sample_file(tmp_path, 0), "fwd")
    score_in_sample(files(world, tmp_path), CONFIG, MIN_NAMES)
    path = in_sample_file(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FormatError, match="cannot be read"):
        read_in_sample(path, "fwd")
    assert score_in_sample(files(world, tmp_path), CONFIG, MIN_NAMES) > 0
