"""Quantile means against a slow, plain grouping."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from seawall.metrics import quantile_means


@settings(deadline=None)
@given(n=st.integers(0, 80), num_quantiles=st.integers(1, 12), ties=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_means_equal_a_plain_loop_over_ranked_names(n: int, num_quantiles: int, ties: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction, target = rng.standard_normal(n).round(1 if ties else 12), rng.standard_normal(n)

    groups: list[list[float]] = [[] for _ in range(num_quantiles)]
    for twice_rank, value in zip(2 * rankdata(prediction).astype(float), target, strict=True):
        groups[(int(twice_rank) - 1) * num_quantiles // (2 * n)].append(value)
    judge = np.array([float(np.mean(group)) if group else np.nan for group in groups])

    np.testing.assert_allclose(quantile_means(prediction, target, num_quantiles), judge, rtol=1e-12, atol=1e-15)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 60), num_quantiles=st.integers(1, 12))
def test_without_ties_sizes_differ_by_one_at_most(n: int, num_quantiles: int) -> None:
    sizes = []
    for quantile in range(num_quantiles):
        # A target that is 1 at one place and 0 elsewhere reveals that place's group and the group's size.
        hits = [quantile_means(np.arange(n), np.arange(n) == place, num_quantiles)[quantile] for place in range(n)]
        sizes.append(sum(hit > 0 for hit in hits))

    assert sum(sizes) == n
    assert max(sizes) - min(sizes) <= 1


def test_equal_predictions_never_land_in_different_quantiles() -> None:
    prediction = np.array([1.0, 2.0, 2.0, 2.0, 2.0, 3.0])
    target = np.array([10.0, 1.0, 2.0, 3.0, 4.0, 20.0])

    np.testing.assert_array_equal(quantile_means(prediction, target, 3), [10.0, 2.5, 20.0])


def test_names_with_a_missing_side_are_left_out() -> None:
    means = quantile_means([1.0, np.nan, 2.0, 3.0, 4.0], [1.0, 9.0, np.nan, 5.0, 7.0], 3)

    np.testing.assert_array_equal(means, [1.0, 5.0, 7.0])


def test_without_names_every_quantile_is_undefined() -> None:
    np.testing.assert_array_equal(quantile_means([], [], 2), [np.nan, np.nan])
