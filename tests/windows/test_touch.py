"""Windows are touched on each of their pages and nowhere else, and come out the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.arrays import AnyArray, Int64
from seawall.windows import touch
from seawall.windows.cutter import Cutter, Scaling
from seawall.windows.touch import PAGE_BYTES, places_to_touch


@given(num_values=st.integers(1, 20_000), start=st.integers(0, 2000))
def test_each_page_of_a_window_is_touched_and_nothing_outside_it(num_values: int, start: int) -> None:
    places = places_to_touch(num_values)

    assert places.min() >= 0
    assert places.max() == num_values - 1
    pages = {4 * (start + value) // PAGE_BYTES for value in range(num_values)}
    assert {4 * (start + int(place)) // PAGE_BYTES for place in places} == pages


def test_windows_of_a_large_source_are_touched_whole_batches_at_once_and_equal_plain_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(touch, "CACHED_BYTES", 0)
    touched: list[Int64] = []
    plain = touch.Touch.__call__

    def seen(self: touch.Touch, starts: Int64) -> None:
        touched.append(starts)
        plain(self, starts)

    monkeypatch.setattr(touch.Touch, "__call__", seen)
    source = np.random.default_rng(0).standard_normal((3000, 40)).astype(np.float32)
    starts = np.array([0, 2940, 17, 17, 1500])
    expected: AnyArray = np.stack([source[start : start + 60] for start in starts])
    scaling = Scaling(np.zeros(40, np.float32), np.full(40, 2, np.float32), 100.0)

    np.testing.assert_array_equal(Cutter([source], 60).cut(starts), expected)
    np.testing.assert_array_equal(Cutter([source], 60, scaling=scaling).cut(starts), expected / 2)

    assert [len(rows) for rows in touched] == [5, 5]


def test_a_source_shorter_than_a_window_or_without_columns_is_left_alone() -> None:
    for shape in ((3, 2), (100, 0)):
        touch.Touch(np.empty(shape, np.float32), 60)(np.empty(0, np.int64))
