"""IC and Rank IC of one date against SciPy, and the cases in which they are undefined."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from seawall.arrays import AnyArray
from seawall.metrics import information_coefficient, pooled_t, rank_information_coefficient


def one_date(n: int, seed: int, *, ties: bool = False) -> tuple[AnyArray, AnyArray]:
    rng = np.random.default_rng(seed)
    target = rng.standard_normal(n) * 0.02
    prediction = (target + rng.standard_normal(n) * 0.05).astype(np.float32)
    return (np.round(prediction, 2), target) if ties else (prediction, target)


@settings(deadline=None)
@given(n=st.integers(3, 500), seed=st.integers(0, 2**32 - 1))
def test_ic_and_rank_ic_equal_scipy(n: int, seed: int) -> None:
    prediction, target = one_date(n, seed)

    wide = prediction.astype(np.float64)
    assert abs(information_coefficient(prediction, target) - float(pearsonr(wide, target).statistic)) <= 1e-12
    assert abs(rank_information_coefficient(prediction, target) - float(spearmanr(wide, target).statistic)) <= 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_rank_ic_equals_scipy_where_predictions_tie(seed: int) -> None:
    prediction, target = one_date(257, seed, ties=True)

    judge = float(spearmanr(prediction.astype(np.float64), target).statistic)
    assert abs(rank_information_coefficient(prediction, target) - judge) <= 1e-12


def test_a_large_common_level_costs_no_digits() -> None:
    prediction, target = (values.astype(np.float64) for values in one_date(300, 3))

    levelled = information_coefficient(1e6 + prediction, 1e6 + target)

    exact = float(pearsonr((1e6 + prediction) - 1e6, (1e6 + target) - 1e6).statistic)
    assert abs(levelled - exact) <= 1e-12


def test_tiny_values_do_not_underflow() -> None:
    prediction, target = (values.astype(np.float64) for values in one_date(50, 4))

    scaled = information_coefficient(prediction * 1e-200, target * 1e-200)

    assert abs(scaled - information_coefficient(prediction, target)) <= 1e-12


def test_names_with_a_missing_side_are_left_out() -> None:
    prediction, target = one_date(40, 5)
    prediction[3], target[[3, 9]] = np.nan, np.nan
    kept = ~np.isnan(prediction + target)

    assert information_coefficient(prediction, target) == information_coefficient(prediction[kept], target[kept])
    judge = float(spearmanr(prediction[kept], target[kept]).statistic)
    assert abs(rank_information_coefficient(prediction, target) - judge) <= 1e-12


@pytest.mark.parametrize("correlate", [information_coefficient, rank_information_coefficient])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 + 0.1, -1 / 3, 1e-300])
@pytest.mark.parametrize("n", [3, 7, 10, 1001])
def test_values_all_alike_are_undefined_exactly(correlate: Callable[..., float], value: float, n: int) -> None:
    alike, varied = np.full(n, value), np.random.default_rng(n).standard_normal(n)

    assert math.isnan(correlate(alike, varied))
    assert math.isnan(correlate(varied, alike))
    assert math.isnan(correlate(alike.astype(np.float32), alike))


def test_fewer_names_than_asked_for_are_undefined() -> None:
    prediction, target = one_date(10, 6)
    target[0] = np.nan

    assert math.isnan(information_coefficient(prediction, target, min_names=10))
    assert math.isnan(rank_information_coefficient(prediction, target, min_names=10))
    assert math.isfinite(information_coefficient(prediction, target, min_names=9))
    assert math.isnan(information_coefficient([1.0], [1.0], min_names=0))
    assert math.isnan(rank_information_coefficient([], []))


def test_an_infinite_value_undoes_the_ic_and_ranks_as_the_largest() -> None:
    prediction, target = np.array([1.0, 2.0, np.inf]), np.array([1.0, 3.0, 2.0])

    assert math.isnan(information_coefficient(prediction, target))
    assert abs(rank_information_coefficient(prediction, target) - 0.5) <= 1e-12


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        information_coefficient([1.0, 2.0, 3.0], [1.0, 2.0])


def test_the_pooled_t_equals_the_regression_t() -> None:
    prediction, target = (values.astype(np.float64) for values in one_date(200, 7))
    ic = float(pearsonr(prediction, target).statistic)
    slope, level = np.polyfit(prediction, target, 1)
    residuals = target - level - slope * prediction
    standard_error = math.sqrt((residuals @ residuals) / 198 / ((prediction - prediction.mean()) ** 2).sum())

    assert pooled_t(ic, 200) == pytest.approx(slope / standard_error, rel=1e-9)


@pytest.mark.parametrize(("ic", "t"), [(-0.0181, -0.572), (0.0070, 0.221), (-0.0537, -1.699)])
def test_the_pooled_t_of_published_correlations_is_the_published_one(ic: float, t: float) -> None:
    assert round(pooled_t(ic, 1000), 3) == t


def test_the_pooled_t_is_undefined_below_three_pairs() -> None:
    assert math.isnan(pooled_t(0.5, 2))
    assert math.isnan(pooled_t(math.nan, 100))
    assert pooled_t(-1.0, 100) == -math.inf
