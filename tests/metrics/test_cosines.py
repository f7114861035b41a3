"""Sums of squared cosine transforms: the formula, and blocks of any size against one transform of the whole."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.metrics.cosines import WHOLE_VALUES, low_cosine_energy


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 400), st.integers(1, 97), st.integers(0, 2**32 - 1))
def test_blocks_of_any_size_give_the_formula(num_values: int, block_values: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(num_values)
    count = 1 + seed % (num_values // 2)
    place = np.arange(1, num_values + 1) - 0.5
    transforms = [math.fsum(values * np.cos(math.pi * j * place / num_values)) for j in range(1, count + 1)]
    judge = math.fsum(x * x for x in transforms)

    found = low_cosine_energy(values, count, block_values=block_values)

    assert found == pytest.approx(judge, rel=1e-9, abs=1e-12 * num_values * count)


@pytest.mark.parametrize("num_values", [WHOLE_VALUES + 1, 100_003])  # 100,003 is a prime
@pytest.mark.parametrize("horizon", [1, 20])
def test_a_long_series_in_blocks_is_the_long_series_as_a_whole(num_values: int, horizon: int) -> None:
    noise = np.random.default_rng(num_values).standard_normal(num_values + horizon - 1)
    values = np.convolve(noise, np.ones(horizon), mode="valid")
    count = num_values // (2 * horizon)

    whole = low_cosine_energy(values, count, block_values=num_values)

    assert low_cosine_energy(values, count) == pytest.approx(whole, rel=1e-12)
