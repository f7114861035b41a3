"""Statistics of a curve against NumPy and pandas, and what is undefined."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seawall.arrays import Float64
from seawall.backtest.equity import EquityCurve
from seawall.backtest.portfolio import DateResult
from seawall.backtest.statistics import curve_statistics, drawdown_span

Make = Callable[..., EquityCurve]


@pytest.fixture
def curve_of(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def make(equity: Float64, turnover: float = 0.5) -> EquityCurve:
            curve = stack.enter_context(closing(EquityCurve(0, tmp_path, 100.0)))
            for value in equity:
                curve.append(DateResult(value * 100.0, 0.0, turnover, 0.0, 0.0, 0))
            return curve

        yield make


def test_statistics_equal_pandas(curve_of: Make) -> None:
    equity = np.concatenate([[1.0], np.exp(np.cumsum(np.random.default_rng(0).normal(0.001, 0.02, 400)))])
    returns = pd.Series(equity).pct_change().dropna()

    found = curve_statistics(curve_of(equity), periods_per_year=245, compounding="geometric")

    assert found.total_return == pytest.approx(equity[-1] - 1, rel=1e-12)
    assert found.annual_return == pytest.approx(equity[-1] ** (245 / 400) - 1, rel=1e-12)
    assert found.annual_volatility == pytest.approx(returns.std() * 245**0.5, rel=1e-12)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std() * 245**0.5, rel=1e-12)
    assert found.max_drawdown == pytest.approx((equity / pd.Series(equity).cummax() - 1).min(), rel=1e-12)
    assert found.hit_rate == (returns > 0).mean()
    assert found.annual_turnover == pytest.approx(0.5 * 245)


def test_arithmetic_compounding_annualises_the_mean_return(curve_of: Make) -> None:
    found = curve_statistics(curve_of(np.array([1.0, 1.1, 0.99])), periods_per_year=10, compounding="arithmetic")

    assert found.annual_return == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("equity", [[1.0, 1.0, 1.0], [1.0, 1.1, 1.1 * 1.1]])
def test_no_volatility_means_no_sharpe(curve_of: Make, equity: list[float]) -> None:
    curve = curve_of(np.array(equity))
    curve["period_return"][1:] = curve["period_return"][1]

    found = curve_statistics(curve, periods_per_year=252, compounding="geometric")

    assert (found.annual_volatility, found.sharpe) == (0.0, None)


def test_a_growth_beyond_any_float_is_undefined(curve_of: Make) -> None:
    found = curve_statistics(curve_of(np.array([1.0, 50.0])), periods_per_year=525_600, compounding="geometric")

    assert found.annual_return is None
    assert found.annual_volatility is None


def test_a_drawdown_runs_from_its_peak_to_its_trough() -> None:
    assert drawdown_span(np.array([1.0, 1.2, 1.1, 1.3, 1.0, 1.25, 0.9, 1.4])) == (3, 6)
    assert drawdown_span(np.array([1.0, 1.2, 1.3])) is None
    assert drawdown_span(np.empty(0)) is None
