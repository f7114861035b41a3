"""Exports hold every value at its own date: read back with nothing but NumPy and pyarrow."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from seawall.arrays import AnyArray, Float32
from seawall.bridges import parquet as parquet_module
from seawall.bridges import qlib as qlib_module
from seawall.bridges.parquet import export_parquet
from seawall.bridges.qlib import export_qlib
from seawall.bridges.qlib_names import file_name, instruments_of
from seawall.errors import ConfigError
from seawall.ingest.append import append
from seawall.ingest.run import ingest
from seawall.stores.panel import Panel
from tests.ingest.world import BUDGET_BYTES, market, settings
from tests.stores.panels import write_tiny

CHANGES: dict[str, Any] = {"features": {"volume": "volume", "Range": "high - low"}, "derived": {}, "universe": None}


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    """A ragged market with scale breaks, in three segments, with gaps on both sides of a border."""
    folder = tmp_path_factory.mktemp("export")
    frame = market(num_entities=6, num_dates=60, seed=4)
    days = np.unique(frame["date"])
    gap = (frame["symbol"] == "SPLIT") & (frame["date"].isin(days[38:43]))
    frame = frame[~gap]
    pieces = [frame[frame["date"] < days[40]], frame[frame["date"].between(days[40], days[49])]]
    pieces.append(frame[frame["date"] >= days[50]])
    for number, piece in enumerate(pieces):
        piece.to_csv(folder / f"{number}.csv", index=False)
    ingest(settings(folder / "0.csv", **CHANGES), folder / "x.panel", budget_bytes=BUDGET_BYTES)
    for number in (1, 2):
        append([str(folder / f"{number}.csv")], folder / "x.panel", budget_bytes=BUDGET_BYTES)
    return Panel(folder / "x.panel")


def read_bin(path: Path) -> tuple[int, Float32]:
    raw = np.fromfile(path, "<f4")
    return int(raw[0]), raw[1:]


@pytest.mark.parametrize("block_rows", [7, 10_000])
def test_a_qlib_provider_holds_every_value_at_its_date(panel: Panel, tmp_path: Path, block_rows: int) -> None:
    done = export_qlib(panel, tmp_path / "q", block_rows=block_rows)

    calendar = (tmp_path / "q" / "calendars" / "day.txt").read_text().splitlines()
    assert calendar == [str(day)[:10] for day in panel.times_as_datetime()]
    listed = [line.split("\t") for line in (tmp_path / "q" / "instruments" / "all.txt").read_text().splitlines()]
    assert [line[0] for line in listed] == panel.entities
    assert done["num_instruments"] == len(panel.entities)
    for name, first, last in listed:
        rows = panel.entity(name).slice
        dates = panel.time_index[rows]
        assert (first, last) == (calendar[dates[0]], calendar[dates[-1]])
        adjustment = panel.adjustment[rows]
        expected: dict[str, AnyArray] = {"factor": 1.0 / adjustment}
        for place, price in enumerate(panel.names("prices")):
            expected[price] = panel.prices[rows][:, place] / adjustment
        for place, feature in enumerate(panel.names("features")):
            expected[feature.lower()] = panel.features[rows][:, place]
        folder = tmp_path / "q" / "features" / name.lower()
        assert {path.name for path in folder.iterdir()} == {f"{field}.day.bin" for field in expected}
        for field, values in expected.items():
            start, found = read_bin(folder / f"{field}.day.bin")
            assert start == dates[0]
            assert len(found) == dates[-1] - dates[0] + 1, "as long as the span, so nothing after a gap shifts"
            np.testing.assert_array_equal(found[dates - start], values.astype(np.float32))
            missing = np.setdiff1d(np.arange(len(found)), dates - start)
            assert np.isnan(found[missing]).all()
    assert not (tmp_path / ".q.export").exists()


def test_names_that_would_be_one_are_told_apart_in_a_table(tmp_path: Path) -> None:
    names = ["AAA", "Aaa", "a/b", "a b", "con", "..", "", "é", "x" * 300]
    found = instruments_of(names)
    folders = [instrument.folder for instrument in found]
    assert len(set(folders)) == len(names)
    assert all(name == name.lower() and "/" not in name and name not in (".", "..", "") for name in folders)
    assert [instrument.symbol for instrument in found[:4]] == ["AAA", "AAA_2", "A_B", "A_B_2"]
    assert found[4].folder == "_qlib_con"
    assert file_name("Mean 5/é") == "mean_5__"
    frame = pd.DataFrame({"symbol": ["AAA", "aaa"], "date": ["2020-01-01", "2020-01-02"], "volume": [1.0, 2.0]})
    for price in ("open", "high", "low", "close"):
        frame[price] = 5.0
    frame.to_csv(tmp_path / "t.csv", index=False)
    ingest(settings(tmp_path / "t.csv", **CHANGES, adjustment={}), tmp_path / "x.panel", budget_bytes=BUDGET_BYTES)
    done = export_qlib(Panel(tmp_path / "x.panel"), tmp_path / "q", block_rows=100)
    assert done["renamed"] == {"AAA_2": "aaa"}
    with (tmp_path / "q" / "instruments.csv").open() as file:
        assert list(csv.reader(file)) == [["instrument", "entity"], ["AAA", "AAA"], ["AAA_2", "aaa"]]


def test_what_qlib_cannot_hold_is_refused_and_nothing_is_left(
    panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(tmp_path / "steps.panel")
    with pytest.raises(ConfigError, match="integer steps"):
        export_qlib(Panel(tmp_path / "steps.panel"), tmp_path / "q", block_rows=10)
    monkeypatch.setattr(qlib_module, "MAX_DATES", 10)
    with pytest.raises(ConfigError, match="too many times"):
        export_qlib(panel, tmp_path / "q", block_rows=10)
    monkeypatch.undo()
    changes = CHANGES | {"features": {"Close": "volume"}}
    ingest(settings(panel.path.parent / "0.csv", **changes), tmp_path / "c.panel", budget_bytes=BUDGET_BYTES)
    with pytest.raises(ConfigError, match="prices 'close' and features 'Close'"):
        export_qlib(Panel(tmp_path / "c.panel"), tmp_path / "q", block_rows=10)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years")
    for output in (tmp_path / "full", tmp_path / "full" / "thesis.txt"):
        with pytest.raises(ConfigError, match="is there already"):
            export_qlib(panel, output, block_rows=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.panel", "full", "steps.panel"]


@pytest.mark.parametrize(("block_rows", "per_file"), [(10_000, 64), (9, 5)])
def test_parquet_holds_every_row_in_order(
    panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_rows: int, per_file: int
) -> None:
    monkeypatch.setattr(parquet_module, "GROUPS_PER_FILE", per_file)
    done = export_parquet(panel, tmp_path / "p", block_rows=block_rows)
    assert (
        done["num_files"]
        == len(list((tmp_path / "p").iterdir()))
        == -(-panel.shape.num_rows // (block_rows * per_file))
    )
    table = pq.read_table(tmp_path / "p")
    number = np.arange(panel.shape.num_rows)
    assert table["entity"].to_pylist() == [panel.entities[entity] for entity in panel.entity_of(number)]
    times = table["time"].cast("int64").to_numpy()
    np.testing.assert_array_equal(times, panel.calendar[panel.time_index[:]])
    for array, group in (("features", "features"), ("returns", "targets"), ("prices", "prices")):
        for place, name in enumerate(panel.names(group)):
            np.testing.assert_array_equal(table[name].to_numpy(), getattr(panel, array)[:][:, place])
    np.testing.assert_array_equal(table["adjustment"].to_numpy(), panel.adjustment[:])
    assert table["universe"].to_pylist() == panel.universe[:].tolist()
    assert table["close"].null_count == int(np.isnan(panel.prices[:][:, 3]).sum())


def test_a_parquet_export_is_ingested_again_as_the_same_rows(panel: Panel, tmp_path: Path) -> None:
    export_parquet(panel, tmp_path / "p", block_rows=50)
    changes = {"entity": "entity", "time": "time", "values": ("volume",), "adjustment": {}, **CHANGES}
    ingest(settings(tmp_path / "p", **changes), tmp_path / "again.panel", budget_bytes=BUDGET_BYTES)
    again = Panel(tmp_path / "again.panel")
    assert again.entities == panel.entities
    np.testing.assert_array_equal(again.time_index[:], panel.time_index[:])
    np.testing.assert_array_equal(again.prices[:], panel.prices[:])


def test_a_name_that_would_stand_twice_gets_its_group(tmp_path: Path) -> None:
    frame = market(num_entities=4, num_dates=12)
    frame.to_csv(tmp_path / "t.csv", index=False)
    changes = CHANGES | {"features": {"close": "close", "time": "volume"}}
    ingest(settings(tmp_path / "t.csv", **changes), tmp_path / "x.panel", budget_bytes=BUDGET_BYTES)
    done = export_parquet(Panel(tmp_path / "x.panel"), tmp_path / "p", block_rows=50)
    assert done["renamed"] == {
        "features.close": "features close",
        "features.time": "features time",
        "prices.close": "prices close",
    }
