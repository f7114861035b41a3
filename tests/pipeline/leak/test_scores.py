"""Leaks planted in what a run keeps: models, scalers, folds, predictions. Found; the untouched run is clean."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seawall.budget.heartbeat import silent
from seawall.pipeline.leak.borders import check_borders
from seawall.pipeline.leak.copies import rows_in_copy, write_copy
from seawall.pipeline.leak.scores import check_scores
from seawall.stores.panel import Panel
from seawall.stores.predictions import PredictionStore, write_fold
from seawall.train.predict import predict_fold
from seawall.train.run import fit_fold, make_folds_record
from tests.pipeline.leak.worlds import CONFIG, clean_market
from tests.train.worlds import three_target_config, three_target_world


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a panel, folds, one trained and predicted fold."""
    folder = tmp_path_factory.mktemp("trained")
    panel = clean_market().write(folder)
    make_folds_record(panel, CONFIG, folder / "folds.json")
    fit_fold(panel, folder / "folds.json", 0, CONFIG, folder / "models" / "fold_00")
    predict_fold(panel, folder / "folds.json", 0, CONFIG, folder / "models" / "fold_00", folder / "predictions")
    return folder


def _judged(folder: Path) -> dict[str, str]:
    panel = folder / "market.panel"
    found = check_scores(panel, folder, CONFIG, folder / "work", silent)
    borders = check_borders(Panel(panel), folder, CONFIG)
    return {check.name: check.verdict for check in (*found, borders)}


def test_an_untouched_run_is_clean(trained: Path) -> None:
    verdicts = _judged(trained)
    assert set(verdicts) == {"samples", "scalers", "predictions", "truncation", "borders"}
    assert set(verdicts.values()) == {"ok"}, verdicts


def _full_sample_scaler(folder: Path) -> None:
    path = folder / "models" / "fold_00" / "scaler.json"
    scaler = json.loads(path.read_text())
    values = np.asarray(Panel(folder / "market.panel").features[:, 0], np.float64)
    scaler["features"][0] |= {"mean": float(np.nanmean(values)), "std": float(np.nanstd(values))}
    path.write_text(json.dumps(scaler))


def _predictions_with_the_outcome(folder: Path) -> None:
    panel = Panel(folder / "market.panel")
    (batch,) = PredictionStore(folder / "predictions").batches()
    outcome = np.nan_to_num(np.asarray(panel.targets[batch.row])[:, 0])
    mixed = (batch.prediction + 0.1 * outcome).astype(np.float32)
    path = folder / "predictions" / "fold_00.parquet"
    write_fold(path, panel, fold=0, rows=batch.row, predictions=mixed, target="fwd", model_key="none")


def _train_reaches_into_valid(folder: Path) -> None:
    path = folder / "folds.json"
    folds = json.loads(path.read_text())
    folds["folds"][0]["train"]["stop"] += 5
    path.write_text(json.dumps(folds))


def _unpurged_overlap(folder: Path) -> None:
    path = folder / "models" / "fold_00" / "model.json"
    record = json.loads(path.read_text())
    record["num_train_samples"] += 2 * 40  # the last two dates of train, whose targets end in valid
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (_full_sample_scaler, "scalers"),
        (_predictions_with_the_outcome, "truncation"),
        (_train_reaches_into_valid, "borders"),
        (_unpurged_overlap, "borders"),
    ],
)
def test_a_leak_planted_in_a_run_is_found(
    plant: Callable[[Path], None], check: str, trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    plant(folder)
    assert _judged(folder)[check] == "leak"


def test_without_a_model_the_checks_say_why_they_did_not_run(trained: Path, tmp_path: Path) -> None:
    found = check_scores(trained / "market.panel", tmp_path, CONFIG, tmp_path / "work", silent)
    assert {check.verdict for check in found} == {"not run"}
    assert all("seawall train" in check.why for check in found)


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_copy_keeps_the_past_and_nothing_of_the_future(how: str, trained: Path, tmp_path: Path) -> None:
    panel, cut = Panel(trained / "market.panel"), 300
    copy = write_copy(panel, tmp_path / "copy.panel", cut, "changed" if how == "changed" else "removed")
    rows = np.flatnonzero(np.asarray(panel.time_index[:]) < cut)
    places = rows_in_copy(panel, copy, cut, rows)
    np.testing.assert_array_equal(panel.features[rows], copy.features[places])
    known = np.asarray(panel.target_end[rows])[:, 0] < cut
    np.testing.assert_array_equal(panel.targets[rows[known]], copy.targets[places[known]])
    later = np.flatnonzero(np.asarray(copy.time_index[:]) >= cut)
    assert len(later) == (0 if how == "removed" else panel.shape.num_rows - len(rows))
    assert not np.array_equal(panel.features[later], copy.features[later]) or how == "removed"
    unknown = np.asarray(copy.targets[places[~known]])[:, 0]
    original = np.asarray(panel.targets[rows[~known]])[:, 0]
    assert not (np.nan_to_num(unknown, nan=7.0) == original).any()


def test_every_target_is_tried_against_other_futures(tmp_path: Path) -> None:
    config, world = three_target_config(max_epochs=1), three_target_world(tmp_path)
    world.fit(config)
    predict_fold(world.panel, world.folds, 0, config, world.model, world.predictions)

    clean = check_scores(world.panel, world.folder, config, tmp_path / "work", silent)

    assert {check.verdict for check in clean} == {"ok"}, clean
    path = world.predictions / "fold_00.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("prediction_odd")
    outcome = np.nan_to_num(Panel(world.panel).targets[table["row"].to_numpy(), 2])
    leaked = pa.array((table[place].to_numpy() + 0.1 * outcome).astype(np.float32))
    pq.write_table(table.set_column(place, "prediction_odd", leaked), path)
    found = check_scores(world.panel, world.folder, config, tmp_path / "work", silent)
    assert [check.verdict for check in found] == ["ok", "ok", "leak", "leak"], found
