"""Tests of a mean of zero on pure noise: persistent scores, targets that overlap over 20 dates, in seeded trials."""

import numpy as np
import pytest
from scipy.stats import t as student

from seawall.arrays import Float64
from seawall.metrics import summarise_series

HORIZON, NUM_NAMES, PERSISTENCE = 20, 50, 0.985


def noise_ic(rng: np.random.Generator, num_dates: int) -> Float64:
    """Daily IC of scores that hardly move with returns over the next 20 dates; neither knows of the other."""
    shocks = rng.standard_normal((num_dates + 200, NUM_NAMES))
    scores = np.empty_like(shocks)
    scores[0] = shocks[0]
    for date in range(1, len(shocks)):
        scores[date] = PERSISTENCE * scores[date - 1] + np.sqrt(1 - PERSISTENCE**2) * shocks[date]
    sums = np.cumsum(rng.standard_normal((num_dates + HORIZON + 1, NUM_NAMES)), axis=0)
    x, y = scores[200:], sums[HORIZON : HORIZON + num_dates] - sums[:num_dates]
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    ic: Float64 = (x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return ic


def rejections(num_dates: int, num_trials: int) -> tuple[float, float, float]:
    """Share of trials that the 5 % tests reject: t_hac, Newey-West, plain."""
    rng = np.random.default_rng(20)
    found = np.zeros(3)
    for _ in range(num_trials):
        summary = summarise_series(noise_ic(rng, num_dates), HORIZON)
        large = 1.96
        found += [
            abs(summary.t_hac) > student.ppf(0.975, summary.dof_hac),
            abs(summary.t_newey_west) > large,
            abs(summary.t_plain) > large,
        ]
    hac, newey_west, plain = found / num_trials
    return hac, newey_west, plain


@pytest.mark.parametrize(
    ("num_dates", "num_trials"),
    [
        (500, 500),
        pytest.param(2000, 500, marks=pytest.mark.slow),
    ],
)
def test_the_hac_t_rejects_noise_as_often_as_it_says_and_the_plain_t_does_not(num_dates: int, num_trials: int) -> None:
    hac, newey_west, plain = rejections(num_dates, num_trials)
    print(f"{num_dates} dates, {num_trials} trials: t_hac {hac:.3f}, Newey-West {newey_west:.3f}, plain {plain:.3f}")
    assert 0.03 <= hac <= 0.08
    assert plain > 0.30
    assert newey_west > hac


def test_scores_of_the_trials_are_as_persistent_as_they_should_be() -> None:
    rng = np.random.default_rng(0)
    shocks = rng.standard_normal(20_000)
    score = np.empty_like(shocks)
    score[0] = shocks[0]
    for date in range(1, len(shocks)):
        score[date] = PERSISTENCE * score[date - 1] + np.sqrt(1 - PERSISTENCE**2) * shocks[date]
    assert np.corrcoef(score[1:], score[:-1])[0, 1] >= 0.98
