from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.errors import ConfigError
from seawall.ingest.targets import forward_return, past_volatility
from seawall.pipeline.config import parse_config
from seawall.stores.panel import Panel
from tests.ingest.world import ingested, market

prices = st.floats(0.01, 1e4) | st.sampled_from([np.nan, 0.0, -5.0, np.inf])


@given(st.lists(st.lists(prices, min_size=1, max_size=9), min_size=1, max_size=5), st.integers(1, 4), st.integers(0, 3))
def test_a_forward_return_equals_shifted_prices_of_the_same_entity(
    close: list[list[float]], horizon: int, delay: int
) -> None:
    starts = np.concatenate([[0], np.cumsum([len(rows) for rows in close])])
    flat = np.concatenate([np.array(rows) for rows in close])
    returns, ends = forward_return(flat, starts, horizon_periods=horizon, delay_periods=delay)
    entity = pd.Series(np.repeat(np.arange(len(close)), np.diff(starts)))
    usable = pd.Series(flat).where((flat > 0) & np.isfinite(flat)).groupby(entity)
    expected = usable.shift(-delay - horizon) / usable.shift(-delay) - 1
    np.testing.assert_allclose(returns, expected, rtol=1e-13, atol=1e-15)
    rows = pd.Series(np.arange(len(flat))).groupby(entity).shift(-delay - horizon).fillna(-1)
    np.testing.assert_array_equal(ends, rows)


def test_a_return_that_float32_cannot_hold_is_undefined() -> None:
    returns, ends = forward_return(np.array([1e-30, 1e30]), np.array([0, 2]), horizon_periods=1, delay_periods=0)
    assert np.isnan(returns[0])
    assert ends[0] == 1


@pytest.mark.parametrize("delay", [0, 1, 5])
def test_an_entity_shorter_than_the_horizon_has_no_target(delay: int) -> None:
    returns, ends = forward_return(np.array([1.0, 2.0]), np.array([0, 1, 2]), horizon_periods=1, delay_periods=delay)
    assert np.isnan(returns).all()
    assert (ends == -1).all()


def targets_of(tmp_path: Path, **targets: object) -> tuple[Panel, pd.DataFrame]:
    """Ingest the market with these targets; give the panel and its rows in order."""
    frame = market()
    known = frame.groupby("symbol")["close"]
    frame["y_ret_4"] = known.shift(-4) / frame["close"] - 1
    frame.to_csv(tmp_path / "m.csv", index=False)
    values = ("volume", "y_ret_4")
    panel, _ = ingested(tmp_path / "m.panel", tmp_path / "m.csv", targets=targets, adjustment={}, values=values)
    return panel, frame.sort_values(["symbol", "date"], ignore_index=True)


SPEC = {"column": "close", "horizon_periods": 3, "delay_periods": 1}


def test_log_scaled_and_signed_returns_equal_pandas(tmp_path: Path) -> None:
    panel, rows = targets_of(
        tmp_path,
        log={"forward_return": SPEC | {"log": True}},
        scaled={"forward_return": SPEC, "volatility_periods": 10},
        side={"forward_return": SPEC, "sign": True},
    )
    price = rows.groupby("symbol")["close"]
    simple = price.shift(-4) / price.shift(-1) - 1
    steps = pd.Series(np.log(rows["close"] / price.shift()))
    volatility = steps.groupby(rows["symbol"]).transform(lambda step: step.rolling(10).std())
    np.testing.assert_allclose(panel.returns[:, 0], np.log1p(simple), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(panel.returns[:, 1], simple / (volatility * np.sqrt(3)), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(panel.returns[:, 2], np.sign(simple))
    assert [spec.kind for spec in panel.target_specs] == ["forward_log_return", "scaled_return", "direction"]


def test_a_target_of_the_source_ends_where_it_is_declared_to_end(tmp_path: Path) -> None:
    panel, rows = targets_of(tmp_path, own={"column": {"name": "y_ret_4", "horizon_periods": 4}})
    np.testing.assert_array_equal(panel.returns[:, 0], rows["y_ret_4"])
    place = pd.Series(np.array(panel.time_index)).groupby(rows["symbol"])
    np.testing.assert_array_equal(panel.target_end[:, 0], place.shift(-4).fillna(-1))
    assert (panel.target_end[:, 0] - panel.time_index).max() > 4, "a suspension makes it late"


def test_a_target_in_sql_may_look_ahead_as_far_as_it_declares(tmp_path: Path) -> None:
    sql = "max(close) OVER (entity ROWS BETWEEN 1 FOLLOWING AND 4 FOLLOWING) / lead(close) OVER entity - 1"
    panel, rows = targets_of(tmp_path, best={"expression": {"sql": sql, "horizon_periods": 3, "delay_periods": 1}})
    price = rows.groupby("symbol")["close"]
    best = pd.concat([price.shift(-ahead) for ahead in range(1, 5)], axis=1).max(axis=1)
    expected = (best / price.shift(-1) - 1).where(panel.target_end[:, 0] >= 0)
    np.testing.assert_allclose(panel.returns[:, 0], expected, rtol=1e-12, atol=1e-15)


def test_a_target_in_sql_that_looks_further_than_it_declares_is_refused(tmp_path: Path) -> None:
    late = {"sql": "lead(close, 5) OVER entity / close - 1", "horizon_periods": 4}
    with pytest.raises(ConfigError, match=r"targets: late: the expression looks further ahead than it declares, found"):
        targets_of(tmp_path, late={"expression": late})
    elsewhere = {"sql": "avg(close) OVER (PARTITION BY __time)", "horizon_periods": 4}
    with pytest.raises(ConfigError, match="targets: other: the expression reads other entities"):
        targets_of(tmp_path, other={"expression": elsewhere})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"column": {"name": "y_ret_10d"}}, "targets.t.column.horizon_periods: this key is required"),
        ({}, "name exactly one of forward_return, column, expression"),
        (
            {"column": {"name": "y", "horizon_periods": 2}, "volatility_periods": 5},
            "volatility_periods needs a forward",
        ),
        ({"forward_return": SPEC}, "column 'close' is not one of prices"),
    ],
)
def test_targets_without_what_makes_them_safe_are_refused(target: dict[str, Any], message: str) -> None:
    section = {"sources": ["a"], "entity": "e", "time": "t", "targets": {"t": target}}
    with pytest.raises(ConfigError) as error:
        parse_config({"output": "o", "ingest": section}, "c.yaml")
    assert message in str(error.value)


@given(st.lists(st.lists(prices, min_size=1, max_size=9), min_size=1, max_size=5), st.integers(2, 4))
def test_past_volatility_never_reaches_into_the_entity_before(close: list[list[float]], rows: int) -> None:
    starts = np.concatenate([[0], np.cumsum([len(prices) for prices in close])])
    flat = np.concatenate([np.array(prices) for prices in close])
    flat = np.where(np.isinf(flat), np.nan, flat)
    entity = pd.Series(np.repeat(np.arange(len(close)), np.diff(starts)))
    logged = pd.Series(np.log(np.where(flat > 0, flat, np.nan)))
    steps = logged.groupby(entity).diff()
    expected = steps.groupby(entity).transform(lambda step: step.rolling(rows).std())
    np.testing.assert_allclose(past_volatility(flat, starts, rows), expected, rtol=1e-6, atol=1e-7)
