"""Stable orders by radix digits, and ranks by hashing."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from seawall.tables.order import dense_ranks, stable_order

Keys = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**40)), min_size=0, max_size=60)


@given(Keys)
def test_rows_are_ordered_as_numpy_orders_them(keys: list[tuple[int, int]]) -> None:
    first, second = (np.array([key[place] for key in keys], np.int64) for place in (0, 1))
    assert stable_order(first, second).tolist() == np.lexsort((second, first)).tolist()


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=40))
def test_ranks_are_places_among_the_distinct_values(values: list[int]) -> None:
    array: npt.NDArray[np.int64] = np.array(values, np.int64)
    distinct, ranks = dense_ranks(array)
    expected, inverse = np.unique(array, return_inverse=True)
    assert distinct.tolist() == expected.tolist()
    assert ranks.tolist() == inverse.tolist()


def test_rows_with_equal_keys_keep_their_order() -> None:
    assert stable_order(np.zeros(1000, np.int64)).tolist() == list(range(1000))
