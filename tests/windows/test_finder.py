"""Rows found by position, without a search a position, are those a binary search finds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seawall.windows.finder import RowFinder
from seawall.windows.samples import Samples


def samples_of(lengths: list[int], gap: int) -> Samples:
    before = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Samples(before[:-1] + gap * np.arange(1, len(lengths) + 1), before)


@given(
    lengths=st.lists(st.one_of(st.integers(1, 3), st.integers(1, 5000)), min_size=1, max_size=60),
    gap=st.integers(0, 99),
)
def test_every_position_has_the_row_that_a_search_finds(lengths: list[int], gap: int) -> None:
    samples = samples_of(lengths, gap)
    positions = np.random.default_rng(0).permutation(samples.num_samples)

    np.testing.assert_array_equal(RowFinder(samples).rows(positions), samples.rows(positions))


def test_many_short_runs_beside_a_long_one_are_found_too() -> None:
    samples = samples_of([1] * 1000 + [10**6] + [2] * 1000, 7)
    positions = np.arange(samples.num_samples)

    np.testing.assert_array_equal(RowFinder(samples).rows(positions), samples.rows(positions))


def test_no_samples_have_no_rows() -> None:
    assert len(RowFinder(samples_of([], 1)).rows(np.empty(0, np.int64))) == 0
