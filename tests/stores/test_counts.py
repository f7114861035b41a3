import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seawall.arrays import Int64
from seawall.stores.counts import count_into


@given(st.lists(st.integers(0, 400), max_size=300), st.integers(401, 3000), st.sampled_from([np.int64, np.int32]))
def test_counts_equal_bincount_whichever_is_longer(places: list[int], size: int, dtype: type) -> None:
    counts: Int64 = np.arange(size, dtype=dtype)
    count_into(counts, np.array(places, np.int64))
    assert counts.dtype == dtype
    np.testing.assert_array_equal(counts, np.arange(size) + np.bincount(np.array(places, np.int64), minlength=size))
