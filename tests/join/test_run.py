"""Join end to end on a small ragged panel; pandas.merge on (time, entity) is the judge."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seawall.errors import ConfigError, FormatError, ResumeError
from seawall.join.config import JoinConfig
from seawall.join.run import join
from seawall.stores.panel import Panel
from seawall.stores.predictions import write_fold
from tests.evaluate.worlds import change_array, fold_rows, predict
from tests.support import make_panel

PRICES = ["open", "high", "low", "close"]


def whole_panel(panel: Panel) -> pd.DataFrame:
    """Every row of the panel as a notebook would hold it: keys and values, no row ids."""
    rows = np.arange(panel.shape.num_rows)
    times = pd.to_datetime(panel.times_as_datetime()[panel.time_index], utc=True)
    frame = pd.DataFrame({"time": times, "entity": np.array(panel.entities)[panel.entity_of(rows)]})
    frame["forward_return"] = panel.returns[:, 0]
    for place, name in enumerate(PRICES):
        frame[name] = panel.prices[:, place]
    frame["adjustment"] = panel.adjustment
    return frame


def read_predictions(predictions: Path) -> pd.DataFrame:
    frame: pd.DataFrame = pd.concat([pq.read_table(path).to_pandas() for path in sorted(predictions.glob("*.parquet"))])
    return frame.astype({"entity": str}).reset_index(drop=True)


def read_table(output: Path) -> pd.DataFrame:
    frame: pd.DataFrame = pq.read_table(output / "table_0000.parquet").to_pandas()
    return frame.astype({"entity": str})


def coverage(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "coverage.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    return make_panel(tmp_path, num_entities=9, num_dates=150, breaks=True)


def test_the_table_equals_a_pandas_merge_on_time_and_entity(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)

    join(panel.path, predictions, tmp_path / "out", JoinConfig())

    merged = read_predictions(predictions).merge(
        whole_panel(panel), how="left", on=["time", "entity"], validate="one_to_one"
    )
    pd.testing.assert_frame_equal(read_table(tmp_path / "out"), merged, check_exact=True)


def test_rows_out_are_rows_in_and_missing_returns_are_null_and_counted(panel: Panel, tmp_path: Path) -> None:
    change_array(panel, "returns", np.flatnonzero(panel.time_index % 3 == 0), np.nan)
    predictions = predict(panel, tmp_path)

    summary = join(panel.path, predictions, tmp_path / "out", JoinConfig())

    given = read_predictions(predictions)
    column = pq.read_table(tmp_path / "out" / "table_0000.parquet")["forward_return"]
    table = read_table(tmp_path / "out")
    assert len(table) == len(given) == summary["num_rows"]
    assert 0 < column.null_count == table["forward_return"].isna().sum()
    assert not np.isnan(column.drop_null().to_numpy()).any()
    assert summary["num_matched"] == len(given) - column.null_count
    assert summary["share"] == summary["num_matched"] / summary["num_rows"]


def test_coverage_counts_per_fold_and_month_equal_pandas(panel: Panel, tmp_path: Path) -> None:
    change_array(panel, "returns", np.flatnonzero(panel.time_index < 40), np.nan)
    predictions = predict(panel, tmp_path)

    join(panel.path, predictions, tmp_path / "out", JoinConfig())

    table, found = read_table(tmp_path / "out"), coverage(tmp_path / "out")
    by_month = table.groupby(table["time"].dt.strftime("%Y-%m"))["forward_return"].agg(["size", "count"])
    by_fold = table.groupby("fold")["forward_return"].agg(["size", "count"])
    assert len(by_month) == 6
    assert found["target"] == "fwd"
    assert found["prices"] == PRICES
    for key, part, judge in [("month", found["months"], by_month), ("fold", found["folds"], by_fold)]:
        assert [block[key] for block in part] == judge.index.tolist()
        assert [block["num_rows"] for block in part] == judge["size"].tolist()
        assert [block["num_matched"] for block in part] == judge["count"].tolist()
        assert [block["share"] for block in part] == (judge["count"] / judge["size"]).tolist()


def test_the_schema_is_the_documented_one(panel: Panel, tmp_path: Path) -> None:
    join(panel.path, predict(panel, tmp_path), tmp_path / "out", JoinConfig(prices=("close", "open")))

    file = pq.ParquetFile(tmp_path / "out" / "table_0000.parquet")
    assert file.schema_arrow.equals(
        pa.schema(
            [
                ("row", pa.int64()),
                ("time", pa.timestamp("ns", tz="UTC")),
                ("entity", pa.dictionary(pa.int32(), pa.string())),
                ("fold", pa.int32()),
                ("prediction", pa.float32()),
                ("forward_return", pa.float64()),
                ("close", pa.float64()),
                ("open", pa.float64()),
                ("adjustment", pa.float64()),
            ]
        )
    )
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    table = read_table(tmp_path / "out")
    np.testing.assert_array_equal(table["close"], panel.prices[table["row"].to_numpy(), 3])
    np.testing.assert_array_equal(table["open"], panel.prices[table["row"].to_numpy(), 0])


def test_rows_are_in_order_and_row_groups_are_small(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_entities=800, num_dates=120, num_features=1)
    predictions = predict(panel, tmp_path, num_folds=1)

    join(panel.path, predictions, tmp_path / "out", JoinConfig())

    metadata = pq.ParquetFile(tmp_path / "out" / "table_0000.parquet").metadata
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert len(sizes) > 1
    assert max(sizes) <= 65_536
    table = read_table(tmp_path / "out")
    assert table[["time", "entity"]].equals(table[["time", "entity"]].sort_values(["time", "entity"]))
    np.testing.assert_array_equal(table["row"], read_predictions(predictions)["row"])


def test_changing_what_comes_after_a_date_changes_no_row_up_to_it(panel: Panel, tmp_path: Path) -> None:
    later = np.flatnonzero(panel.time_index > 80)
    predictions = predict(panel, tmp_path)
    join(panel.path, predictions, tmp_path / "before", JoinConfig())

    for name in ("returns", "prices"):
        change_array(panel, name, later, -1.0)
    join(panel.path, predictions, tmp_path / "after", JoinConfig())

    before, after = read_table(tmp_path / "before"), read_table(tmp_path / "after")
    kept = before["time"] <= pd.Timestamp(panel.times_as_datetime()[80], tz="UTC")
    assert 0 < kept.sum() < len(kept)
    pd.testing.assert_frame_equal(before[kept], after[kept], check_exact=True)
    assert (after[~kept]["close"] == -1.0).all()


def test_a_calendar_of_integer_steps_has_integer_times_and_no_months(panel: Panel, tmp_path: Path) -> None:
    manifest = json.loads((panel.path / "panel.json").read_text(encoding="utf-8"))
    manifest["calendar"]["kind"] = "step"
    (panel.path / "panel.json").write_text(json.dumps(manifest), encoding="utf-8")
    stepped = Panel(panel.path)

    join(stepped.path, predict(stepped, tmp_path), tmp_path / "out", JoinConfig())

    table = read_table(tmp_path / "out")
    np.testing.assert_array_equal(table["time"], stepped.calendar[stepped.time_index[table["row"].to_numpy()]])
    assert coverage(tmp_path / "out")["months"] == []


def test_two_runs_write_the_same_bytes_and_tell_their_progress(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    told: list[tuple[str, int, int]] = []

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        told.append((substep, done, total))

    for name in ("first", "second"):
        join(panel.path, predictions, tmp_path / name, JoinConfig(), beat=beat)

    for file in ("table_0000.parquet", "coverage.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    num_rows = sum(len(rows) for rows in fold_rows(panel, 3))
    assert told[-1] == ("rows", num_rows, num_rows)


def test_an_unknown_price_is_refused_with_the_nearest_name(panel: Panel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"prices: unknown column, found 'clsoe'.*'close'"):
        join(panel.path, predict(panel, tmp_path), tmp_path / "out", JoinConfig(prices=("clsoe",)))


def test_a_price_named_twice_is_refused(panel: Panel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="would stand twice in the table, found 'close'"):
        join(panel.path, predict(panel, tmp_path), tmp_path / "out", JoinConfig(prices=("close", "open", "close")))


def test_predictions_of_another_panel_are_refused(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    other = make_panel(tmp_path / "other", num_entities=9, num_dates=150, seed=9)

    with pytest.raises(ResumeError, match=f"another panel, found {panel.content_key}, allowed: {other.content_key}"):
        join(other.path, predictions, tmp_path / "out", JoinConfig())


def test_a_repeated_key_is_refused_and_the_earlier_table_stays(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    join(panel.path, predictions, tmp_path / "out", JoinConfig())
    before = (tmp_path / "out" / "table_0000.parquet").read_bytes()
    rows = fold_rows(panel, 3)[2]
    values = np.zeros(len(rows), np.float32)
    write_fold(
        predictions / "fold_03.parquet", panel, fold=3, rows=rows, predictions=values, target="fwd", model_key=""
    )

    with pytest.raises(FormatError, match="out of order or repeated"):
        join(panel.path, predictions, tmp_path / "out", JoinConfig())

    assert (tmp_path / "out" / "table_0000.parquet").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["coverage.json", "table_0000.parquet"]


def test_a_repeated_row_inside_a_fold_is_refused(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    rows = fold_rows(panel, 3)[2]
    doubled = np.insert(rows, 5, rows[5])
    values = np.zeros(len(doubled), np.float32)
    write_fold(
        predictions / "fold_02.parquet", panel, fold=2, rows=doubled, predictions=values, target="fwd", model_key=""
    )

    with pytest.raises(FormatError, match="out of order or repeated"):
        join(panel.path, predictions, tmp_path / "out", JoinConfig())


def test_fewer_predictions_than_the_manifest_says_are_refused(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    path = predictions / "fold_01.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**manifest, "num_rows": manifest["num_rows"] + 1}), encoding="utf-8")

    with pytest.raises(FormatError, match="wrong number of"):
        join(panel.path, predictions, tmp_path / "out", JoinConfig())

    assert not (tmp_path / "out" / "table_0000.parquet").exists()


def test_a_truncated_prediction_file_is_refused_by_name(panel: Panel, tmp_path: Path) -> None:
    predictions = predict(panel, tmp_path)
    path = predictions / "fold_01.parquet"
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(FormatError, match=r"fold_01\.parquet: cannot be read"):
        join(panel.path, predictions, tmp_path / "out", JoinConfig())
