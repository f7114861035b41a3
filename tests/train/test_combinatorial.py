"""Combinatorial folds through training, prediction and evaluation: paths, each date once a path, no walk forward."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from seawall.errors import ConfigError
from seawall.evaluate.config import EvaluateConfig
from seawall.evaluate.run import evaluate
from seawall.join.config import JoinConfig
from seawall.join.run import join
from seawall.metrics import information_coefficient
from seawall.stores.panel import Panel
from seawall.stores.predictions import PredictionStore
from seawall.train.folds_file import read_fold
from seawall.train.predict import predict_fold
from seawall.train.run import fit_fold, make_folds_record
from seawall.train.segments import train_samples
from seawall.windows.picture import record_lines
from tests.train.worlds import World, edit, planted_world, small_config

FOLDS = {"kind": "combinatorial", "num_groups": 4, "num_test_groups": 2, "valid": 8, "embargo_periods": 2}
CONFIG = small_config(max_epochs=1, folds=FOLDS, model={"hidden_size": 4, "dropout": 0.0})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = planted_world(tmp_path_factory.mktemp("world"))
    record = make_folds_record(world.panel, CONFIG, world.folds)
    assert record["num_folds"] == 6
    for fold in range(6):
        model = world.folder / "models" / f"fold_{fold:02d}"
        fit_fold(world.panel, world.folds, fold, CONFIG, model)
        predict_fold(world.panel, world.folds, fold, CONFIG, model, world.predictions)
    return world


def test_each_path_predicts_every_legal_row_once_in_order_of_time(world: World) -> None:
    panel, store = Panel(world.panel), PredictionStore(world.predictions)
    assert store.num_paths == 3
    by_path = []
    for path in range(3):
        batches = list(store.batches(path=path))
        rows = np.concatenate([batch.row for batch in batches])
        keys = list(zip(panel.time_index[rows].tolist(), rows.tolist(), strict=True))
        assert keys == sorted(set(keys))
        assert len({int(fold) for batch in batches for fold in batch.fold}) > 1
        by_path.append(sorted(rows.tolist()))
    assert by_path[0] == by_path[1] == by_path[2]
    assert store.num_rows == 3 * len(by_path[0])


def test_the_column_path_says_what_the_manifest_says(world: World) -> None:
    panel = Panel(world.panel)
    fold = read_fold(world.folds, 4)
    table = pq.read_table(world.predictions / "fold_04.parquet")
    dates = panel.time_index[table.column("row").to_numpy()]

    for (start, stop), path in zip(fold.test_ranges, fold.paths, strict=True):
        inside = (dates >= start) & (dates < stop)
        assert set(table.column("path").to_numpy()[inside].tolist()) == {path}


def test_each_path_is_judged_on_its_own_and_the_overall_series_is_their_mean(world: World) -> None:
    output = world.folder / "metrics"
    evaluate(world.panel, world.predictions, output, EvaluateConfig(min_names=3, num_quantiles=3))

    record = json.loads((output / "metrics.json").read_text())
    panel, store = Panel(world.panel), PredictionStore(world.predictions)
    ics = []
    for block in record["paths"]:
        rows = np.concatenate([batch.row for batch in store.batches(path=block["path"])])
        predictions = np.concatenate([batch.prediction for batch in store.batches(path=block["path"])])
        targets, dates = panel.returns[rows, 0], panel.time_index[rows]
        daily = []
        for date in np.unique(dates):
            known = (dates == date) & ~np.isnan(targets)
            ic = information_coefficient(predictions[known], targets[known]) if known.sum() >= 3 else np.nan
            daily.append(ic)
        assert block["ic"]["mean"] == pytest.approx(np.nanmean(daily), abs=1e-12)
        assert block["pooled"]["n"] == int((~np.isnan(targets)).sum())
        ics.append(daily)
    table = pq.read_table(output / "daily.parquet")
    mean = [np.nanmean(day) if np.isfinite(day).any() else np.nan for day in np.transpose(ics)]
    np.testing.assert_allclose(table.column("ic").to_numpy(), mean, atol=1e-12)
    assert len(record["folds"]) == 6
    assert record["overall"]["pooled"]["n"] == sum(block["pooled"]["n"] for block in record["paths"])
    assert pq.read_table(output / "daily_paths.parquet").num_rows == 3 * table.num_rows


def test_a_join_for_trading_refuses_paths_in_words_and_writes_nothing(world: World) -> None:
    with pytest.raises(ConfigError, match="3 paths of combinatorial folds, not a walk forward"):
        join(world.panel, world.predictions, world.folder / "backtest", JoinConfig())
    assert not (world.folder / "backtest").exists()


def test_other_targets_in_what_is_held_out_move_neither_samples_nor_weights(world: World, tmp_path: Path) -> None:
    fold = read_fold(world.folds, 2)
    panel = Panel(world.panel)
    samples = train_samples(panel, fold, CONFIG)
    dates = panel.time_index[:]
    held = np.zeros(len(dates), bool)
    for start, stop in fold.test_ranges:
        held |= (dates >= start) & (dates < stop)
    other = world.copy(tmp_path)

    def change(values: np.ndarray) -> None:
        values[held] = 9.0 * np.sin(np.arange(int(held.sum())))[:, None]

    edit(other.panel, "targets", "<f4", (-1, 1), change)
    make_folds_record(other.panel, CONFIG, other.folds)
    fit_fold(other.panel, other.folds, 2, CONFIG, tmp_path / "model")

    assert train_samples(Panel(other.panel), fold, CONFIG).num_samples == samples.num_samples
    weights = [path / "model.safetensors" for path in (world.folder / "models" / "fold_02", tmp_path / "model")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_folds_json_draws_what_it_holds(world: World) -> None:
    found = json.loads(world.folds.read_text())

    lines = record_lines(found["folds"], found["num_dates"])

    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3", "4", "5"]
    assert all(len(line) <= 80 and "x" in line and "e" in line and "v" in line for line in lines)
    assert lines[1].replace(" ", "")[1:].startswith("TTTT")


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ({"kind": "combinatorial", "num_groups": 4, "valid": 5}, "num_test_groups: Field required"),
        ({"kind": "combinatorial", "num_groups": 4, "num_test_groups": 2}, "valid: Field required"),
        ({"kind": "combinatorial", "num_groups": 4, "num_test_groups": 4, "valid": 5}, "fewer than the 4 groups"),
        ({"kind": "combinatorial", "num_groups": 30, "num_test_groups": 9, "valid": 5}, "each a model; at most 1,000"),
        (FOLDS | {"train": 50}, "combinatorial folds take groups, valid and an embargo, nothing else"),
        ({"train": 50, "valid": 5, "test": 5, "num_groups": 3}, "only folds of the kind combinatorial have groups"),
    ],
)
def test_what_makes_no_folds_is_refused_before_any_work(folds: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_config(folds=folds)
