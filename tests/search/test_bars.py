"""Places in bars: found beside the entry, the same as by a search of the whole array."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Int64
from seawall.search.bars import Bars


def bars(slot: Int64) -> Bars:
    nothing = np.zeros(len(slot))
    return Bars(
        time=slot, open=nothing, high=nothing, low=nothing, close=nothing, slot=slot, funding=nothing,
        offsets=np.array([0, len(slot)]), entities=("A",), period=1,
    )  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.sampled_from([1, 1, 1, 1, 2, 5, 400]), min_size=1, max_size=60), st.data())
def test_the_first_bar_at_a_slot_is_that_of_a_search_of_all(steps: list[int], data: st.DataObject) -> None:
    slot = np.cumsum(np.array(steps, np.int64)) - 7
    rows = np.array(data.draw(st.lists(st.integers(0, len(slot) - 1), min_size=1, max_size=8)), np.int64)
    holdings = np.array(data.draw(st.lists(st.integers(1, 500), min_size=1, max_size=5)), np.int64)
    due = slot[rows][:, None] + holdings - 1

    found = bars(slot).first_at(rows, due)

    assert np.array_equal(found, np.searchsorted(slot, due))
    assert np.array_equal(bars(slot).first_at(rows, due[:, 0]), np.searchsorted(slot, due[:, 0]))
