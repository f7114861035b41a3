import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seawall.arrays import Float64
from seawall.report.series import annual_cost, block_means, compounded, drawdown, month_table, running_sum, thin

SERIES = hnp.arrays(
    np.float64,
    st.integers(1, 300),
    elements=st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6)),
)


@given(values=SERIES, max_points=st.integers(4, 40))
def test_thinning_keeps_extremes_and_ends_and_order(values: Float64, max_points: int) -> None:
    chosen = thin(values, max_points=max_points)
    assert (np.diff(chosen) > 0).all()
    assert chosen[0] == 0
    assert chosen[-1] == len(values) - 1
    assert len(chosen) <= max(len(values) if len(values) <= max_points else 0, max_points + 2)
    if not np.isnan(values).all():
        assert np.nanmax(values[chosen]) == np.nanmax(values)
        assert np.nanmin(values[chosen]) == np.nanmin(values)


def test_thinning_keeps_the_extremes_of_every_run_not_only_the_largest() -> None:
    values = np.zeros(10_000)
    spikes = np.arange(50, 10_000, 100)
    values[spikes] = 1.0 + np.arange(len(spikes))
    chosen = thin(values, max_points=400)
    assert len(chosen) < 500
    assert set(spikes.tolist()) <= set(chosen.tolist())


def test_a_short_series_is_not_thinned() -> None:
    assert thin(np.full(7, np.nan), max_points=7).tolist() == list(range(7))


def test_a_long_gap_stays_a_gap() -> None:
    values = np.ones(1_000)
    values[400:600] = np.nan
    chosen = thin(values, max_points=100)
    assert np.isnan(values[chosen]).any()


def test_points_that_must_stay_do_so() -> None:
    keep = np.zeros(1_000, bool)
    keep[[3, 501]] = True
    assert {3, 501} <= set(thin(np.zeros(1_000), max_points=10, keep_T=keep).tolist())


def test_drawdown_equals_pandas() -> None:
    equity: Float64 = np.exp(np.random.default_rng(0).normal(0, 0.02, 500).cumsum())
    expected = (pd.Series(equity) / pd.Series(equity).cummax() - 1).to_numpy(np.float64)
    np.testing.assert_allclose(drawdown(equity), expected, rtol=0, atol=1e-15)


def test_a_later_value_changes_no_earlier_drawdown_equity_or_sum() -> None:
    values = np.random.default_rng(1).normal(0, 0.02, 60)
    changed = values.copy()
    changed[40] = 5.0
    for compute in (compounded, running_sum, lambda v: drawdown(1 + v)):
        np.testing.assert_array_equal(compute(values)[:40], compute(changed)[:40])


def test_an_undefined_return_leaves_equity_undefined_from_there_on() -> None:
    equity = compounded(np.array([np.nan, 0.1, np.nan, 0.1]))
    np.testing.assert_allclose(equity[:2], [1.0, 1.1])
    assert np.isnan(equity[2:]).all()


def test_an_undefined_date_adds_nothing_to_the_running_sum_and_is_undefined_itself() -> None:
    result = running_sum(np.array([1.0, np.nan, 2.0]))
    np.testing.assert_array_equal(result, [1.0, np.nan, 3.0])


def test_monthly_means_equal_pandas_and_months_without_dates_are_undefined() -> None:
    times = np.arange(np.datetime64("2019-11-05"), np.datetime64("2021-02-10")).astype("datetime64[ns]")
    values = np.random.default_rng(2).normal(size=len(times))
    values[times.astype("datetime64[M]") == np.datetime64("2020-03")] = np.nan
    years, table = month_table(times, values)
    assert years == [2019, 2020, 2021]
    expected = pd.Series(values, index=pd.DatetimeIndex(times)).resample("MS").mean()
    first = 10  # November
    np.testing.assert_allclose(table.ravel()[first : first + len(expected)], expected.to_numpy(np.float64))
    assert np.isnan(table[0, :10]).all()
    assert np.isnan(table[1, 2])
    assert np.isnan(table[2, 2:]).all()


def test_block_means_average_equal_runs_and_leave_out_undefined_values() -> None:
    np.testing.assert_array_equal(block_means(np.array([1.0, 3.0, np.nan, np.nan, 5.0, np.nan]), 3), [2.0, np.nan, 5.0])


def test_annual_cost_is_the_mean_difference_times_the_periods_of_a_year() -> None:
    gross, net = np.array([0.0, 0.02, 0.01]), np.array([0.0, 0.015, 0.004])
    assert annual_cost(gross, net, 100.0) == pytest.approx((0.005 + 0.006) / 2 * 100, rel=1e-12)


def test_annual_cost_is_undefined_where_a_return_is() -> None:
    gross = np.array([0.0, np.nan])
    assert annual_cost(gross, gross, 245.0) is None
    assert annual_cost(np.array([0.0, 1.0]), np.array([0.0, 1.0]), None) is None
    assert annual_cost(np.zeros(1), np.zeros(1), 245.0) is None
