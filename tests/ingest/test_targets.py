import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.ingest.targets import forward_return

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
