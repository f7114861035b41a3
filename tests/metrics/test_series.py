"""Summary of a daily series: plain statistics against SciPy, the cosine t against its formula and in repeated draws."""

import math

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import ttest_1samp

from seawall.arrays import Float64
from seawall.metrics import SeriesSummary, summarise_series


def moving_average(num_dates: int, horizon_periods: int, rng: np.random.Generator) -> Float64:
    """Overlapping sums of independent noise: the series a target over h periods makes of no skill at all."""
    noise = rng.standard_normal(num_dates + horizon_periods - 1)
    return np.convolve(noise, np.ones(horizon_periods), mode="valid")


def cosine_t(defined: Float64, horizon_periods: int) -> float:
    """The formula as published, sum by sum, without centring."""
    num_dates, dof = len(defined), len(defined) // (2 * horizon_periods)
    place = np.arange(1, num_dates + 1) - 0.5
    transforms = [
        math.sqrt(2 / num_dates) * math.fsum(defined * np.cos(math.pi * j * place / num_dates))
        for j in range(1, dof + 1)
    ]
    return math.sqrt(num_dates) * float(defined.mean()) / math.sqrt(math.fsum(x * x for x in transforms) / dof)


def test_plain_statistics_equal_scipy() -> None:
    series = np.random.default_rng(0).normal(0.03, 0.1, 501)

    summary = summarise_series(series, 1)

    assert summary.mean == pytest.approx(series.mean(), rel=1e-12)
    assert summary.std == pytest.approx(series.std(ddof=1), rel=1e-12)
    assert summary.icir == pytest.approx(series.mean() / series.std(ddof=1), rel=1e-12)
    assert summary.share_positive == (series > 0).mean()
    assert summary.t_plain == pytest.approx(ttest_1samp(series, 0.0).statistic, rel=1e-12)


@pytest.mark.parametrize(("num_dates", "horizon"), [(4, 1), (41, 2), (250, 5), (501, 20), (1000, 1)])
def test_the_cosine_t_equals_its_formula(num_dates: int, horizon: int) -> None:
    series = 0.2 + moving_average(num_dates, horizon, np.random.default_rng(num_dates))

    summary = summarise_series(series, horizon)

    assert summary.dof_hac == num_dates // (2 * horizon)
    assert summary.t_hac == pytest.approx(cosine_t(series, horizon), rel=1e-9)


def test_undefined_dates_are_left_out_and_counted() -> None:
    series = moving_average(100, 3, np.random.default_rng(1))
    with_gaps = np.insert(series, [0, 50, 50, 100], np.nan)

    summary = summarise_series(with_gaps, 3)

    assert (summary.num_dates, summary.num_undefined, summary.num_defined) == (104, 4, 100)
    assert summary.t_hac == summarise_series(series, 3).t_hac
    assert summary.mean == summarise_series(series, 3).mean


@pytest.mark.parametrize("series", [[], [math.nan] * 5])
def test_a_series_without_a_number_is_undefined(series: list[float]) -> None:
    summary = summarise_series(series, 2)

    assert summary.num_undefined == summary.num_dates == len(series)
    for name in ("mean", "std", "icir", "share_positive", "t_plain", "t_hac"):
        assert math.isnan(getattr(summary, name)), name


def test_one_date_has_a_mean_and_no_spread() -> None:
    summary = summarise_series([0.25], 1)

    assert (summary.mean, summary.share_positive) == (0.25, 1.0)
    assert math.isnan(summary.std)
    assert math.isnan(summary.t_plain)


@pytest.mark.parametrize("value", [0.1, -1 / 3, 1.0])
@pytest.mark.parametrize("num_dates", [3, 10, 333])
def test_a_series_without_variance_has_no_t_at_all(value: float, num_dates: int) -> None:
    summary = summarise_series(np.full(num_dates, value), 1)

    assert (summary.mean, summary.std) == (value, 0.0)
    assert math.isnan(summary.icir)
    assert math.isnan(summary.t_plain)
    assert math.isnan(summary.t_hac)


def test_too_few_dates_for_the_horizon_leave_the_cosine_t_undefined() -> None:
    series = np.random.default_rng(2).standard_normal(39)

    assert math.isnan(summarise_series(series, 10).t_hac)
    assert summarise_series(series, 10).dof_hac == 1
    assert math.isfinite(summarise_series(np.append(series, 0.5), 10).t_hac)


def test_a_horizon_below_one_period_is_refused() -> None:
    with pytest.raises(ValueError, match="horizon_periods is 0"):
        summarise_series([0.1, 0.2], 0)


def test_on_overlapping_targets_the_cosine_t_keeps_its_size_and_the_plain_t_does_not() -> None:
    rng = np.random.default_rng(2018)

    summaries: list[SeriesSummary] = [summarise_series(moving_average(500, 5, rng), 5) for _ in range(2000)]

    critical = float(stdtrit(summaries[0].dof_hac, 0.975))
    rejected = np.mean([abs(summary.t_hac) > critical for summary in summaries])
    rejected_plain = np.mean([abs(summary.t_plain) > 1.965 for summary in summaries])
    assert 0.035 < rejected < 0.07
    assert rejected_plain > 0.25


@pytest.mark.parametrize("horizon", [1, 2, 5, 20])
def test_the_newey_west_t_equals_its_formula(horizon: int) -> None:
    series = 0.1 + moving_average(300, horizon, np.random.default_rng(horizon))
    centred = series - series.mean()
    covariances = [float((centred[lag:] * centred[: len(centred) - lag]).sum()) / len(series) for lag in range(horizon)]
    variance = covariances[0] + 2 * sum((1 - lag / horizon) * covariances[lag] for lag in range(1, horizon))

    summary = summarise_series(series, horizon)

    assert summary.t_newey_west == pytest.approx(series.mean() / math.sqrt(variance / len(series)), rel=1e-9)


def test_the_non_overlapping_t_is_the_plain_t_of_every_hth_date() -> None:
    series = moving_average(203, 4, np.random.default_rng(5))
    series[8] = np.nan
    apart = series[::4]
    apart = apart[~np.isnan(apart)]

    summary = summarise_series(series, 4)

    assert summary.num_non_overlapping == len(apart) == 50
    assert summary.t_non_overlapping == pytest.approx(ttest_1samp(apart, 0.0).statistic, rel=1e-12)
