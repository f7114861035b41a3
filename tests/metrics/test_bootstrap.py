"""The band of a mean: covers where it should, is wider for dependent dates, is the same for the same seed."""

import math

import numpy as np
import pytest

from seawall.metrics import mean_band
from seawall.metrics.bootstrap import block_length


def test_the_band_covers_the_mean_of_dependent_noise() -> None:
    covered, plain, num_trials, horizon = 0, 0, 200, 5
    for seed in range(num_trials):
        noise = np.random.default_rng(seed).standard_normal(500 + horizon - 1)
        series = np.convolve(noise, np.ones(horizon), mode="valid")
        band, one = mean_band(series, horizon, num_resamples=400), mean_band(series, 1, num_resamples=400)
        covered += band.low <= 0 <= band.high
        half = 1.96 * series.std() / math.sqrt(len(series))
        plain += abs(series.mean()) <= half
        assert one.low < series.mean() < one.high
    assert 0.86 <= covered / num_trials <= 0.99
    assert plain / num_trials < 0.75  # what it is for


def test_the_same_seed_gives_the_same_band() -> None:
    series = np.random.default_rng(0).standard_normal(300)
    assert mean_band(series, 3, seed=7) == mean_band(series, 3, seed=7) != mean_band(series, 3, seed=8)


def test_the_spread_of_resampled_means_is_that_of_explicit_blocks() -> None:
    series = np.random.default_rng(1).standard_normal(200)
    length, n = block_length(200, 4), 200
    starts = np.random.default_rng(3).integers(0, n, (500, n // length))
    places = (starts[:, :, None] + np.arange(length)) % n
    means = series[places].reshape(500, -1).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    band = mean_band(series, 4, num_resamples=500, seed=3)
    assert (band.low, band.high) == pytest.approx((low, high), rel=1e-9)


@pytest.mark.parametrize("series", [[], [1.0], [1.0] * 5, [math.nan] * 50])
def test_too_few_dates_give_no_band(series: list[float]) -> None:
    assert math.isnan(mean_band(series, 2).low)


def test_undefined_dates_are_left_out() -> None:
    series = np.random.default_rng(2).standard_normal(100)
    assert mean_band(np.insert(series, 40, np.nan), 1) == mean_band(series, 1)
