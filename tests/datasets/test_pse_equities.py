import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seawall import datasets

SHARED = Path(__file__).parents[3] / "shared" / "data" / "equities_pse_daily.parquet"
PRICES = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.read_csv(datasets.pse_equities(), dtype={"symbol": str, "date": str}, keep_default_na=True)


def test_the_panel_is_what_its_readme_says(rows: pd.DataFrame) -> None:
    assert len(rows) == 538_408
    assert rows["symbol"].nunique() == 257
    assert (rows["date"].min(), rows["date"].max()) == ("2010-01-04", "2021-12-15")
    assert list(rows.columns) == ["symbol", "date", *PRICES, "value"]
    all_zero = (rows[PRICES] == 0).all(axis=1)
    assert all_zero.sum() == 37
    body = rows[~all_zero]
    outside = (body[["open", "close"]].max(axis=1) > body["high"]) | (body[["open", "close"]].min(axis=1) < body["low"])
    assert outside.sum() == 35
    per_day = rows.groupby("date")["symbol"].nunique()
    assert (per_day.min(), per_day.max()) == (112, 249)
    cosco = rows[rows["symbol"] == "COSCO"].set_index("date")["close"]
    place = cosco.index.get_loc("2013-05-14")
    assert isinstance(place, int)
    assert cosco.iloc[place] / cosco.iloc[place - 1] == pytest.approx(102, rel=0.02)


def test_rows_are_sorted_by_date_and_symbol_and_no_key_occurs_twice(rows: pd.DataFrame) -> None:
    keys = rows[["date", "symbol"]]
    assert not keys.duplicated().any()
    assert keys.equals(keys.sort_values(["date", "symbol"], ignore_index=True))


def test_the_values_are_those_of_the_shared_file(rows: pd.DataFrame) -> None:
    if not SHARED.exists():
        pytest.skip(f"the file the panel was made from is not here: {SHARED}")
    shared = pd.read_parquet(SHARED)
    shared["date"] = pd.to_datetime(shared["date"]).dt.strftime("%Y-%m-%d")
    shared = shared.sort_values(["date", "symbol"], ignore_index=True)
    assert shared["symbol"].astype(str).tolist() == rows["symbol"].tolist()
    assert shared["date"].tolist() == rows["date"].tolist()
    for name in (*PRICES, "value"):
        np.testing.assert_array_equal(shared[name].to_numpy(float), rows[name].to_numpy(float))


def test_licence_and_origin_lie_beside_the_file() -> None:
    folder = datasets.pse_equities().parent
    assert "MIT" in (folder / "LICENSE").read_text(encoding="utf-8")
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "fastquant" in readme
    assert {"538,408 rows", "257 tickers", "37 rows", "35 rows"} <= set(re.findall(r"[\d,]+ (?:rows|tickers)", readme))
