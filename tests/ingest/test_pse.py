"""The built-in panel through the ingest of the shipped example, against pandas."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from seawall import datasets
from seawall.ingest.config import IngestConfig
from seawall.ingest.run import ingest
from seawall.stores.panel import Panel
from seawall.units import MIB

EXAMPLE = Path(__file__).parents[2] / "examples" / "pse.yaml"


@pytest.fixture(scope="module")
def pse(tmp_path_factory: pytest.TempPathFactory) -> tuple[Panel, dict[str, Any], pd.DataFrame]:
    config = IngestConfig(**yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["ingest"])
    output = tmp_path_factory.mktemp("pse") / "pse.panel"
    summary = ingest(config, output, budget_bytes=384 * MIB)
    rows = pd.read_csv(datasets.pse_equities())
    prices = rows[["open", "high", "low", "close"]]
    outside = (rows["open"] > rows["high"]) | (rows["open"] < rows["low"])
    outside |= (rows["close"] > rows["high"]) | (rows["close"] < rows["low"])
    kept = rows[~(prices.min(axis=1) <= 0) & ~outside]
    return Panel(output), summary["ingest"], kept.sort_values(["symbol", "date"], ignore_index=True)


def test_bad_rows_of_the_source_are_dropped_by_rule_and_counted(
    pse: tuple[Panel, dict[str, Any], pd.DataFrame],
) -> None:
    panel, report, rows = pse
    assert report["rows_read"] == 538_408
    assert report["dropped_rows"] == {"no price": 37, "outside low..high": 35}
    assert report["rows_kept"] == panel.shape.num_rows == len(rows) == 538_408 - 37 - 35
    assert (report["first_time"], report["last_time"]) == ("2010-01-04", "2021-12-15")
    assert panel.shape.num_entities == rows["symbol"].nunique()


def test_the_known_scale_breaks_are_found(pse: tuple[Panel, dict[str, Any], pd.DataFrame]) -> None:
    _, report, _ = pse
    breaks = {(entry["entity"], entry["time"]): entry["factor"] for entry in report["scale_breaks"]}
    assert breaks["COSCO", "2013-05-14"] == pytest.approx(102, rel=0.02)
    assert any(name == "CHIB" and time.startswith("2012-09") for name, time in breaks)
    assert len(breaks) == len(report["scale_breaks"]) == 38
    assert all(factor > 1.9 or factor < 0.6 for factor in breaks.values())


def test_the_store_equals_pandas_over_the_whole_panel(pse: tuple[Panel, dict[str, Any], pd.DataFrame]) -> None:
    panel, _, rows = pse
    np.testing.assert_array_equal(panel.prices, rows[["open", "high", "low", "close"]])
    by = rows["symbol"]
    previous = rows["close"].groupby(by).shift()
    is_break = (rows["low"] > 2 * previous) | (rows["high"] < previous / 2)
    adjustment = (rows["open"] / previous).where(is_break, 1.0).groupby(by).cumprod()
    np.testing.assert_allclose(panel.adjustment, adjustment, rtol=1e-12)
    close = rows["close"] / adjustment
    for name, lag in (("ret_1", 1), ("ret_5", 5), ("ret_20", 20)):
        expected = np.log(close / close.groupby(by).shift(lag))
        np.testing.assert_allclose(
            panel.features[:, panel.column_index("features", name)], expected, rtol=1e-6, atol=1e-7
        )
    bought, sold = close.groupby(by).shift(-1), close.groupby(by).shift(-6)
    np.testing.assert_allclose(panel.returns[:, 0], sold / bought - 1, rtol=1e-12, atol=1e-15)
    median = rows["value"].groupby(by).rolling(20, min_periods=1).median().to_numpy()
    universe = (median >= 1e6) & (rows.groupby("symbol").cumcount() >= 59)
    np.testing.assert_array_equal(panel.universe, universe)
