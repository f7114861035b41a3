import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from seawall.arrays import Float32, Int64
from seawall.errors import FormatError
from seawall.stores import predictions
from seawall.stores.panel import Panel
from seawall.stores.predictions import ROW_GROUP_ROWS, PredictionStore, write_fold
from tests.stores.panels import write_tiny
from tests.support import make_panel


def rows_between(panel: Panel, start: int, stop: int) -> Int64:
    """Rows of the dates start .. stop - 1 in (time, entity) order."""
    return np.array(panel.by_time[panel.time_offsets[start] : panel.time_offsets[stop]])


def values_of(rows: Int64) -> Float32:
    return np.sin(rows).astype(np.float32)


def write_folds(panel: Panel, folder: Path, *cuts: int) -> None:
    for fold, (start, stop) in enumerate(pairwise(cuts)):
        rows = rows_between(panel, start, stop)
        write_fold(
            folder / f"fold_{fold:02d}.parquet",
            panel,
            fold=fold,
            rows=rows,
            predictions=values_of(rows),
            target="fwd",
            model_key=f"model {fold}",
        )


def test_a_fold_comes_back_as_written_with_keys_a_person_can_read(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    write_folds(panel, tmp_path / "predictions", 20, 40, 60)
    frame = pd.read_parquet(tmp_path / "predictions" / "fold_01.parquet")
    rows = rows_between(panel, 40, 60)
    assert list(frame.columns) == ["row", "time", "entity", "fold", "prediction"]
    np.testing.assert_array_equal(frame["row"], rows)
    np.testing.assert_array_equal(frame["prediction"], values_of(rows))
    expected = pd.to_datetime(panel.calendar[panel.time_index[rows]], utc=True)
    assert (pd.DatetimeIndex(frame["time"]) == expected).all()
    assert frame["entity"].tolist() == [panel.entities[i] for i in panel.entity_of(rows)]
    assert frame["entity"].dtype == "category"
    assert (frame["fold"] == 1).all()
    assert frame.sort_values(["time", "entity"]).index.equals(frame.index)


def test_a_calendar_of_steps_is_stored_as_integers(tmp_path: Path) -> None:
    write_tiny(tmp_path / "tiny.panel")
    panel = Panel(tmp_path / "tiny.panel")
    write_folds(panel, tmp_path / "predictions", 1, 4)
    assert pq.read_table(tmp_path / "predictions" / "fold_00.parquet")["time"].to_pylist() == [20, 20, 30, 40]


def test_the_manifest_says_what_was_predicted_from_what(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    write_folds(panel, tmp_path / "predictions", 20, 40)
    manifest = json.loads((tmp_path / "predictions" / "fold_00.json").read_text())
    assert manifest["format"] == "seawall-predictions/1"
    assert manifest["num_rows"] == len(rows_between(panel, 20, 40))
    assert (manifest["first_time"], manifest["last_time"]) == (panel.calendar[20], panel.calendar[39])
    assert (manifest["target"], manifest["model_key"]) == ("fwd", "model 0")
    assert manifest["panel_key"] == panel.content_key
    assert sorted(path.name for path in (tmp_path / "predictions").iterdir()) == ["fold_00.json", "fold_00.parquet"]


def test_a_fold_without_rows_is_a_fold(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    write_folds(panel, tmp_path / "predictions", 20, 20, 30)
    store = PredictionStore(tmp_path / "predictions")
    assert store.manifests[0]["first_time"] is None
    assert store.num_rows == len(rows_between(panel, 20, 30))
    assert len(list(store.dates(panel))) == len(np.unique(panel.time_index[rows_between(panel, 20, 30)]))


@pytest.mark.parametrize("group_rows", [1, 2, 5, 7, 64, ROW_GROUP_ROWS])
def test_dates_are_never_split_and_equal_a_pandas_groupby(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_rows: int
) -> None:
    monkeypatch.setattr(predictions, "ROW_GROUP_ROWS", group_rows)
    panel = make_panel(tmp_path, num_entities=9)
    write_folds(panel, tmp_path / "predictions", 10, 35, 36, 70)
    store = PredictionStore(tmp_path / "predictions")
    frame = pd.concat([pd.read_parquet(path) for path in store.paths])
    expected = {pd.Timestamp(str(time)).value: group for time, group in frame.groupby("time")}
    found = list(store.dates(panel))
    assert [panel.calendar[date] for date, _ in found] == list(expected), "each date once, in order"
    for date, batch in found:
        group = expected[panel.calendar[date]]
        np.testing.assert_array_equal(batch.row, group["row"])
        np.testing.assert_array_equal(batch.fold, group["fold"])
        np.testing.assert_array_equal(batch.prediction, group["prediction"])
    assert pq.ParquetFile(store.paths[0]).metadata.row_group(0).num_rows <= group_rows


def test_batches_of_any_size_hold_all_rows_in_order(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    write_folds(panel, tmp_path / "predictions", 10, 40, 70)
    store = PredictionStore(tmp_path / "predictions")
    for rows_per_batch in (1, 7, 10**6):
        rows = np.concatenate([batch.row for batch in store.batches(rows_per_batch=rows_per_batch)])
        np.testing.assert_array_equal(rows, rows_between(panel, 10, 70))


def test_more_than_a_hundred_folds_stay_in_order_of_time(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_entities=2)
    write_folds(panel, tmp_path / "predictions", *range(104))
    dates = [date for date, _ in PredictionStore(tmp_path / "predictions").dates(panel)]
    assert dates == sorted(dates)
    assert len(dates) > 80


def test_a_failed_write_keeps_the_old_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = make_panel(tmp_path)
    write_folds(panel, tmp_path / "predictions", 20, 40)
    before = {path.name: path.read_bytes() for path in (tmp_path / "predictions").iterdir()}
    monkeypatch.setattr(predictions, "key_columns", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_folds(panel, tmp_path / "predictions", 30, 50)
    assert {path.name: path.read_bytes() for path in (tmp_path / "predictions").iterdir()} == before


def test_no_predictions_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no predictions") as error:
        PredictionStore(tmp_path)
    assert "predict stage" in str(error.value)


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format="other/1"), "unknown format, found 'other/1'"),
        (lambda m: m.update(num_rows=m["num_rows"] + 1), "wrong number of rows"),
        (lambda m: m.update(num_rows="many"), "damaged manifest, found num_rows = 'many'"),
        (lambda m: m.pop("fold"), "damaged manifest, found fold = None"),
        (lambda m: m.pop("panel_key"), "damaged manifest, found panel_key = None"),
    ],
)
def test_a_manifest_that_disagrees_with_its_file_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    write_folds(make_panel(tmp_path), tmp_path / "predictions", 20, 40)
    path = tmp_path / "predictions" / "fold_00.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(FormatError, match=message):
        PredictionStore(tmp_path / "predictions")


@pytest.mark.parametrize("text", ["", "{", "[]", "7"])
def test_a_manifest_that_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "fold_00.json").write_text(text)
    with pytest.raises(FormatError, match=r"fold_00\.json: (cannot be read|unknown format)"):
        PredictionStore(tmp_path)


def test_a_missing_or_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    write_folds(panel, tmp_path / "predictions", 20, 40)
    path = tmp_path / "predictions" / "fold_00.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:100])
    with pytest.raises(FormatError, match=r"fold_00\.parquet: cannot be read as a prediction file"):
        PredictionStore(tmp_path / "predictions")
    path.unlink()
    with pytest.raises(FormatError, match=r"fold_00\.parquet: cannot be read as a prediction file"):
        PredictionStore(tmp_path / "predictions")
    damaged = bytearray(data)
    damaged[len(data) // 4 : len(data) // 4 + 200] = bytes(200)
    path.write_bytes(damaged)
    with pytest.raises(FormatError, match="cannot be read as a prediction file"):
        list(PredictionStore(tmp_path / "predictions").batches())
