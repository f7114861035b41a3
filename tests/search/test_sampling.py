"""Intervals of samples cover what they say, for the design the rule picks; where they cannot, there is none."""

from collections.abc import Callable

import numpy as np
import pytest

from seawall.arrays import Float64
from seawall.search.sampling import choose_design, draw, estimate_share, estimate_total

N, NUM_SAMPLED = 3199, 1000

POPULATIONS: dict[str, Callable[[np.random.Generator], Float64]] = {
    "clipped": lambda rng: np.where(rng.random(N) < 0.52, 0.01, -0.01) + rng.normal(0, 0.001, N),
    "student": lambda rng: 0.0005 + 0.01 * rng.standard_t(3, N),
    "lognormal": lambda rng: rng.lognormal(0, 1.5, N) - 1.0,
    "pareto 1.5 less cost": lambda rng: rng.pareto(1.5, N) - 2.0,
    "pareto 1.1 less cost": lambda rng: rng.pareto(1.1, N) - 3.0,
}


def coverage(name: str, num_draws: int) -> tuple[str, float]:
    rng = np.random.default_rng(5)
    values = POPULATIONS[name](rng)
    size = np.abs(values)
    design, hits = choose_design(NUM_SAMPLED, size), 0
    for seed in range(num_draws):
        sample = draw(N, NUM_SAMPLED, design, seed, size=size)
        interval = estimate_total(values[sample.places], sample)
        hits += interval.low <= values.sum() <= interval.high
    return design, hits / num_draws


@pytest.mark.parametrize("name", POPULATIONS)
def test_a_dose_of_intervals_covers_the_total(name: str) -> None:
    design, covered = coverage(name, 200)

    assert design == ("take_all" if "pareto" in name or name == "lognormal" else "simple")
    assert 0.90 <= covered <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("name", POPULATIONS)
def test_intervals_cover_93_to_97_per_cent_for_the_design_the_rule_picks(name: str) -> None:
    design, covered = coverage(name, 4000)
    print(f"{name}: {design}, {covered:.1%}")

    assert 0.93 <= covered <= 0.97


def test_a_stratified_sample_covers_too() -> None:
    rng = np.random.default_rng(2)
    strata = rng.integers(0, 6, N)
    values = rng.normal(0.001, 0.01, N) + 0.02 * (strata - 2)
    hits = 0
    for seed in range(300):
        sample = draw(N, NUM_SAMPLED, "stratified", seed, strata=strata)
        interval = estimate_total(values[sample.places], sample)
        hits += interval.low <= values.sum() <= interval.high

    assert 0.90 <= hits / 300 <= 0.985


def test_skewed_values_without_a_known_size_have_no_valid_interval() -> None:
    values = np.random.default_rng(0).pareto(1.1, N)
    sample = draw(N, NUM_SAMPLED, choose_design(NUM_SAMPLED, None), 1)
    interval = estimate_total(values[sample.places], sample)

    assert not interval.is_valid
    assert "No valid interval" in interval.sentence
    assert np.isfinite(interval.estimate)


def test_a_size_that_says_nothing_about_the_values_gives_no_valid_interval() -> None:
    rng = np.random.default_rng(0)
    values, size = rng.pareto(1.1, N), rng.pareto(1.1, N)
    sample = draw(N, NUM_SAMPLED, choose_design(NUM_SAMPLED, size), 1, size=size)
    interval = estimate_total(values[sample.places], sample)

    assert sample.design == "take_all"
    assert not interval.is_valid


def test_a_sample_of_everything_is_exact() -> None:
    values = np.random.default_rng(0).normal(size=50)
    sample = draw(50, 50, "simple", 3)
    interval = estimate_total(values[sample.places], sample)

    assert interval.low == pytest.approx(values.sum())
    assert interval.high == pytest.approx(values.sum())
    assert estimate_share(20, 50, 50).low == 0.4


def test_the_interval_of_a_share_covers() -> None:
    flags = np.arange(N) < 0.03 * N
    truth, hits = flags.mean(), 0
    for seed in range(500):
        sample = draw(N, NUM_SAMPLED, "simple", seed)
        interval = estimate_share(int(flags[sample.places].sum()), NUM_SAMPLED, N)
        hits += interval.low <= truth <= interval.high

    assert 0.93 <= hits / 500 <= 0.975
