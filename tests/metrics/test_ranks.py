"""Average ranks against SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from seawall.metrics import average_ranks

values = st.lists(st.one_of(st.sampled_from([0.0, -0.0, 1.0, 2.5]), st.floats(allow_nan=False, width=32)), max_size=60)


@given(values)
def test_ranks_equal_scipy_with_ties_shared(given_values: list[float]) -> None:
    np.testing.assert_array_equal(average_ranks(given_values), rankdata(given_values, method="average"))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_ranks_equal_scipy_on_many_names_with_many_ties(dtype: str) -> None:
    values = np.random.default_rng(0).integers(-300, 300, 4000).astype(dtype)

    np.testing.assert_array_equal(average_ranks(values), rankdata(values, method="average"))


def test_a_nan_has_no_rank_and_takes_none_up() -> None:
    np.testing.assert_array_equal(average_ranks([np.nan, 3.0, 1.0, np.nan, 3.0]), [np.nan, 2.5, 1.0, np.nan, 2.5])


def test_nothing_but_nan_has_no_ranks() -> None:
    np.testing.assert_array_equal(average_ranks([np.nan, np.nan]), [np.nan, np.nan])
