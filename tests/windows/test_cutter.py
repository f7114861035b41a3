"""Windows cut from one array or from several segments, and buffers that are never written over while held."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from seawall.windows.choose import Order
from seawall.windows.cutter import CHUNK_BYTES, Cutter
from seawall.windows.gather import Beside, Gather
from seawall.windows.ring import LINE_BYTES, Ring, empty_on_a_line
from seawall.windows.samples import select_samples
from seawall.windows.scaling import Scaling
from seawall.windows.stream import Windows
from tests.stores.test_segments import Rows, panels, stacked, updates


@settings(max_examples=30, deadline=None)
@given(updates, st.integers(1, 6), st.sampled_from([None, 3000]))
def test_windows_over_several_segments_are_those_of_one(
    chosen: list[Rows], lookback: int, pool_bytes: int | None
) -> None:
    with panels(*stacked(chosen)) as (many, one):
        if lookback > one.shape.num_rows:
            return

        def batches(panel: Panel) -> list[tuple[object, ...]]:
            samples = select_samples(panel, (0, panel.shape.num_dates), lookback)
            gather = Gather(panel, lookback, targets=(0,), beside=Beside(sequence_targets=True, time=True))
            order: Order = "shuffle" if pool_bytes is None else "by_time"
            stream = Windows(gather, samples, batch_size=8, order=order, pool_bytes=pool_bytes and 100_000)
            return [tuple(array.tolist() for array in batch.named().values()) for batch in stream.epoch(0)]

        np.testing.assert_equal(batches(many), batches(one))


def test_windows_longer_than_a_chunk_and_shorter_ones_are_scaled_alike() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3000, 20)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    scaling = Scaling(np.full(2, 0.1, np.float32), np.full(2, 2, np.float32), 1.0)
    starts = rng.integers(0, 700, 50)
    for length in (1, 40, CHUNK_BYTES // 80 + 5):
        found = Cutter([rows], length, columns=(7, 3), scaling=scaling).cut(starts)

        plain = np.stack([rows[start : start + length, [7, 3]] for start in starts])
        np.testing.assert_array_equal(found, np.nan_to_num(np.clip((plain - np.float32(0.1)) / 2, -1, 1)))


def test_a_ring_uses_what_was_given_back_and_leaves_alone_what_is_held() -> None:
    ring = Ring()
    held = ring.take((4, 2), "<f4")
    held[:] = 7
    addresses = set()
    for number in range(20):
        taken = ring.take((3, 2), "<f4")
        taken[:] = number
        addresses.add(taken.ctypes.data)
        del taken

    assert (held == 7).all()
    assert len(addresses) <= 2
    assert held.ctypes.data not in addresses


def test_buffers_begin_on_a_line_of_the_cache() -> None:
    held = [
        array for size in (1, 7, 5000) for array in (Ring().take((size, 3), "<f4"), empty_on_a_line((size,), "<f4"))
    ]

    assert [array.ctypes.data % LINE_BYTES for array in held] == [0] * 6


def test_a_view_of_a_batch_keeps_its_buffer_from_being_used_again() -> None:
    rows = np.arange(200, dtype=np.float32).reshape(100, 2)
    cutter = Cutter([rows], 3, fill_missing=True)
    kept = [cutter.cut(np.array([start]))[0, 1:, :1] for start in range(20)]

    assert [view[0, 0] for view in kept] == [2.0 * (start + 1) for start in range(20)]


def test_a_column_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"columns: no such column, found \(5,\), allowed: 0 to 1"):
        Cutter([np.zeros((10, 2), np.float32)], 3, columns=(5,))
