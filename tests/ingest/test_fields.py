"""Wide files of one field each make one panel, equal to the long table they were written from."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from seawall.errors import DataError
from seawall.ingest.append import append
from seawall.stores.panel import Panel
from tests.ingest.test_bad_input import SIMPLE
from tests.ingest.world import BUDGET_BYTES, ingested, market, settings

SHARED = Path(__file__).parents[3] / "shared" / "data"
FIELDS = ("close", "high", "volume")
WIDE: dict[str, Any] = SIMPLE | {
    "layout": {"wide": "*"},
    "prices": ("close", "high"),
    "values": ("volume",),
    "features": {"volume": "volume", "spread": "high - close"},
}
LONG = WIDE | {"layout": {}}


def ragged(seed: int = 0) -> pd.DataFrame:
    """Cells missing here and there, and some keys that one field alone has."""
    frame = market(num_entities=6, num_dates=40, seed=seed)[["symbol", "date", *FIELDS]]
    rng = np.random.default_rng(seed)
    for name in FIELDS:
        frame.loc[rng.random(len(frame)) < 0.1, name] = np.nan
    return frame[frame[list(FIELDS)].notna().any(axis=1)]


def write_wide(folder: Path, frame: pd.DataFrame) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in FIELDS:
        frame.pivot(index="date", columns="symbol", values=name).to_csv(folder / f"{name}.csv")
    return [folder / f"{name}.csv" for name in FIELDS]


def same(found: Panel, expected: Panel) -> None:
    assert found.entities == expected.entities
    for name in ("calendar", "offsets", "features", "prices", "time_index", "by_time", "values"):
        np.testing.assert_array_equal(np.asarray(getattr(found, name)), np.asarray(getattr(expected, name)), name)


@pytest.mark.parametrize("order", [FIELDS, FIELDS[::-1]])
def test_files_of_one_field_each_equal_the_long_table(tmp_path: Path, order: tuple[str, ...]) -> None:
    frame = ragged()
    write_wide(tmp_path / "wide", frame)
    frame.to_csv(tmp_path / "long.csv", index=False)
    files = [tmp_path / "wide" / f"{name}.csv" for name in order]
    found, report = ingested(tmp_path / "wide.panel", *files, **WIDE)
    expected, long_report = ingested(tmp_path / "long.panel", tmp_path / "long.csv", **LONG)
    same(found, expected)
    assert found.shape.num_rows == len(frame)
    assert report["rows_read"] == frame[list(FIELDS)].notna().sum().sum()
    for told in ("rows_kept", "missing_shares", "duplicates", "prices", "num_gaps"):
        assert report[told] == long_report[told], told


def test_years_in_folders_and_appended_ones_go_on_with_the_same_fields(tmp_path: Path) -> None:
    frame = ragged(1)
    middle, last = np.unique(frame["date"])[[15, 30]]
    for name, part in (
        ("a", frame[frame["date"] < middle]),
        ("b", frame[(frame["date"] >= middle) & (frame["date"] < last)]),
        ("c", frame[frame["date"] >= last]),
    ):
        write_wide(tmp_path / name, part)
    frame.to_csv(tmp_path / "long.csv", index=False)
    ingested(tmp_path / "x.panel", tmp_path / "a", tmp_path / "b", **WIDE)
    append([str(tmp_path / "c")], tmp_path / "x.panel", budget_bytes=BUDGET_BYTES)
    expected, _ = ingested(tmp_path / "long.panel", tmp_path / "long.csv", **LONG)
    same(Panel(tmp_path / "x.panel"), expected)


@pytest.mark.parametrize("policy", ["error", "first", "last"])
def test_a_cell_that_a_field_has_twice_follows_the_policy(tmp_path: Path, policy: str) -> None:
    frame = ragged()
    files = write_wide(tmp_path / "wide", frame)
    (tmp_path / "again").mkdir()
    again = frame[["symbol", "date", "close"]].dropna().iloc[100:102]
    more = again.assign(close=1e6).pivot(index="date", columns="symbol", values="close")
    more.to_csv(tmp_path / "again" / "close.csv")
    sources = (*files, tmp_path / "again" / "close.csv")
    if policy == "error":
        first = again.sort_values(["symbol", "date"]).iloc[0]
        with pytest.raises(
            DataError, match=rf"occurs twice, found \('{first['symbol']}', {first['date']}\) and 1 more"
        ):
            ingested(tmp_path / "x.panel", *sources, **WIDE)
        return
    panel, report = ingested(tmp_path / "x.panel", *sources, **WIDE, duplicates=policy)
    assert report["duplicates"] == 2
    assert panel.shape.num_rows == len(frame)
    assert (panel.prices[:, 0] == 1e6).sum() == (2 if policy == "last" else 0)


def test_wide_fields_join_with_other_tables_wide_or_long(tmp_path: Path) -> None:
    frame = ragged()
    write_wide(tmp_path / "wide", frame)
    (tmp_path / "side").mkdir()
    shutil.move(tmp_path / "wide" / "volume.csv", tmp_path / "side" / "volume.csv")
    shutil.move(tmp_path / "wide" / "high.csv", tmp_path / "side" / "high.csv")
    table = {"sources": [str(tmp_path / "side")], "columns": ["high", "volume"], "layout": {"wide": "*"}}
    found, _ = ingested(tmp_path / "x.panel", tmp_path / "wide", **WIDE, tables=[table])
    frame[frame["close"].notna()].to_csv(tmp_path / "long.csv", index=False)
    expected, _ = ingested(tmp_path / "long.panel", tmp_path / "long.csv", **LONG)
    same(found, expected)


def test_rules_that_would_see_one_field_alone_are_refused() -> None:
    with pytest.raises(ValidationError, match="drop_rows would judge a row by one field"):
        settings(Path("x"), **WIDE, drop_rows={"none": "close = 0"})


def test_the_real_wide_table_beside_a_field_made_of_it(tmp_path: Path) -> None:
    source = SHARED / "equities_us_close_wide.csv.gz"
    if not source.exists():
        pytest.skip(f"no {source}")
    shutil.copy(source, tmp_path / "close.csv.gz")
    closes = pd.read_csv(source, index_col=0)
    (closes.round() + 1).to_csv(tmp_path / "volume.csv")
    changes = {"time": "Date", "prices": ("close",), "values": ("volume",), "features": {"volume": "volume"}}
    panel, _ = ingested(tmp_path / "us.panel", tmp_path / "close.csv.gz", tmp_path / "volume.csv", **(WIDE | changes))
    assert (panel.shape.num_rows, panel.shape.num_entities, panel.shape.num_dates) == (166_260, 20, 8_313)
    close = closes.T.sort_index().to_numpy().ravel()
    np.testing.assert_array_equal(panel.prices[:, 0], close[~np.isnan(close)])
    np.testing.assert_array_equal(panel.features[:, 0], (np.round(panel.prices[:, 0]) + 1).astype(np.float32))
