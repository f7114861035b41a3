"""Every order gives every legal sample exactly once an epoch, equal to a plain loop, however it is shared out."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Float32, Int64
from seawall.errors import BudgetError, ConfigError, ResumeError
from seawall.stores.panel import Panel
from seawall.windows.choose import Order
from seawall.windows.direct import PositionOrder
from seawall.windows.gather import Batch, Beside, Gather
from seawall.windows.samples import Samples, select_samples
from seawall.windows.share import Deal, Share
from seawall.windows.slabs import SlabOrder
from seawall.windows.stream import Pooled, Windows
from seawall.windows.tiles import PoolSize, TileOrder, Tiling
from tests.support import make_panel, quick_folder
from tests.windows.ragged import write_ragged

SOME_POOL, LARGE_POOL = 50_000, 50_000_000


def nested_loop(panel: Panel, lookback: int) -> dict[int, Float32]:
    """Cut every legal window the plain way: entity by entity, row by row."""
    windows = {}
    for first, stop in zip(panel.offsets[:-1].tolist(), panel.offsets[1:].tolist(), strict=True):
        for row in range(first, stop):
            if row - lookback + 1 >= first and panel.universe[row]:
                windows[row] = np.array(panel.features[row - lookback + 1 : row + 1])
    return windows


def all_batches(stream: Windows, epoch: int, stride: int = 1) -> list[Batch]:
    return [batch for first in range(stride) for batch in stream.epoch(epoch, first_step=first, stride=stride)]


def rows_of(batches: list[Batch]) -> list[int]:
    return [row for batch in batches for row in batch.row.tolist()]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 90), min_size=1, max_size=25),
    lookback=st.integers(1, 12),
    order=st.sampled_from(["shuffle", "blocks", "by_time", "sequential"]),
    pool_bytes=st.sampled_from([None, SOME_POOL, LARGE_POOL]),
    world_size=st.integers(1, 4),
    deal=st.sampled_from(["batches", "tiles"]),
    num_workers=st.integers(1, 3),
    seed=st.integers(0, 2**40),
)
def test_every_legal_window_comes_exactly_once_an_epoch_in_every_order(
    lengths: list[int],
    lookback: int,
    order: Order,
    pool_bytes: int | None,
    world_size: int,
    deal: Deal,
    num_workers: int,
    seed: int,
) -> None:
    with quick_folder() as folder:
        panel = write_ragged(folder, lengths, seed)
        expected = nested_loop(panel, lookback)
        samples = select_samples(panel, (0, panel.shape.num_dates), lookback) if panel.shape.num_rows else None
        if samples is None or lookback > panel.shape.num_rows:
            return
        seen: list[int] = []
        steps = set()
        for rank in range(world_size):
            share = Share(rank, world_size, deal if order == "blocks" else "batches")
            stream = Windows(
                Gather(panel, lookback),
                samples,
                batch_size=12 * world_size,
                order=order,
                seed=seed,
                share=share,
                pool_bytes=pool_bytes or (LARGE_POOL if order == "blocks" else None),
            )
            steps.add(len(stream))
            for batch in all_batches(stream, 1, num_workers):
                for row, window in zip(batch.row.tolist(), batch.x, strict=True):
                    np.testing.assert_array_equal(window, expected[row])
                seen += batch.row.tolist()

        assert sorted(seen) == sorted(expected)
        assert len(steps) == 1


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    return make_panel(tmp_path_factory.mktemp("panel"), num_entities=40, num_dates=300)


def stream_of(
    panel: Panel, order: Order, pool_bytes: int | None = None, *, share: Share = Share(), seed: int = 0, batch: int = 60
) -> Windows:
    samples = select_samples(panel, (0, panel.shape.num_dates), 20)
    gather = Gather(panel, 20, targets=(0,))
    return Windows(gather, samples, batch_size=batch, order=order, seed=seed, share=share, pool_bytes=pool_bytes)


ORDERS: list[tuple[Order, int | None]] = [
    ("shuffle", None),
    ("blocks", SOME_POOL),
    ("blocks", LARGE_POOL),
    ("by_time", None),
    ("by_time", 90_000),
]


@pytest.mark.parametrize(("order", "pool_bytes"), ORDERS)
def test_any_step_asked_for_alone_is_the_step_of_the_whole_epoch(
    panel: Panel, order: Order, pool_bytes: int | None
) -> None:
    whole = [batch.row.tolist() for batch in stream_of(panel, order, pool_bytes).epoch(3)]

    for step in range(0, len(whole), 7):
        alone = next(iter(stream_of(panel, order, pool_bytes).epoch(3, first_step=step)))
        assert alone.row.tolist() == whole[step]


@pytest.mark.parametrize(("order", "pool_bytes"), ORDERS)
def test_epochs_and_seeds_differ_and_a_stream_restored_anywhere_goes_on(
    panel: Panel, order: Order, pool_bytes: int | None
) -> None:
    first = [batch.row.tolist() for batch in stream_of(panel, order, pool_bytes)]
    other_seed = [batch.row.tolist() for batch in stream_of(panel, order, pool_bytes, seed=1)]
    stream = stream_of(panel, order, pool_bytes)
    iterator = iter(stream)
    for _ in range(5):
        next(iterator)

    continued = stream_of(panel, order, pool_bytes)
    continued.load_state(stream.state())

    assert [batch.row.tolist() for batch in continued] == first[5:]
    assert [batch.row.tolist() for batch in continued] not in (first, other_seed)
    assert first != other_seed


@pytest.mark.parametrize(("order", "pool_bytes"), [("shuffle", None), ("blocks", SOME_POOL)])
def test_ranks_together_see_each_global_batch_of_one_process(
    panel: Panel, order: Order, pool_bytes: int | None
) -> None:
    alone = [sorted(batch.row.tolist()) for batch in stream_of(panel, order, pool_bytes).epoch(0)]

    ranks = [list(stream_of(panel, order, pool_bytes, share=Share(rank, 3)).epoch(0)) for rank in range(3)]

    together = [sorted(rows_of(list(batches))) for batches in zip(*ranks, strict=True)]
    assert together == alone
    assert {len(batch) for batch in ranks[0][:-1]} == {20}


def test_by_time_gives_whole_dates_to_whole_ranks(panel: Panel) -> None:
    for pool_bytes in (None, 90_000):
        dates: list[int] = []
        for rank in range(2):
            for batch in stream_of(panel, "by_time", pool_bytes, share=Share(rank, 2)).epoch(0):
                dates += np.unique(panel.time_index[batch.row]).tolist()
        assert len(dates) == len(set(dates))


def test_a_pool_that_holds_everything_is_read_once_and_reaches_everywhere(panel: Panel) -> None:
    stream = stream_of(panel, "blocks", LARGE_POOL)
    assert isinstance(stream.source, Pooled)

    first = next(iter(stream.epoch(0)))
    list(stream.epoch(1))
    after_two = stream.source.reader.bytes_read

    assert stream.source.order.num_pools == 1
    assert len(np.unique(panel.entity_of(first.row))) > 20
    assert after_two < 1.1 * 4 * panel.shape.num_rows * 4


def test_no_pool_needs_more_rows_than_were_counted_whatever_the_epoch(panel: Panel) -> None:
    stream = stream_of(panel, "blocks", SOME_POOL)
    assert isinstance(stream.source, Pooled)
    order = stream.source.order
    assert isinstance(order, TileOrder)

    needed = 0
    for epoch in range(20):
        for pool in range(order.num_pools):
            rows = order.members(epoch, pool).rows
            needed = max(needed, rows_needed(rows, 20))

    assert 0.8 * order.capacity_rows < needed <= order.capacity_rows


def rows_needed(rows: Int64, lookback: int) -> int:
    return len(np.unique((rows[:, None] - np.arange(lookback)).reshape(-1)))


def test_bytes_read_by_slabs_are_the_amplification_that_is_told(panel: Panel) -> None:
    stream = stream_of(panel, "by_time", 90_000)
    assert isinstance(stream.source, Pooled)
    order = stream.source.order
    assert isinstance(order, SlabOrder)

    list(stream.epoch(0))

    told = order.amplification * panel.shape.num_rows * 4 * 4
    assert 0.5 * told < stream.source.reader.bytes_read <= told


def test_changing_the_future_changes_no_window_that_ends_before_it(tmp_path: Path) -> None:
    lengths, cut = [60, 80, 45], 40
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before = write_ragged(tmp_path / "a", lengths, 5)
    after = write_ragged(tmp_path / "b", lengths, 5, change_from=cut)

    for order, pool_bytes in ORDERS:
        pairs = zip(
            stream_of(before, order, pool_bytes, batch=7).epoch(0),
            stream_of(after, order, pool_bytes, batch=7).epoch(0),
            strict=True,
        )
        num_same = num_changed = 0
        for old, new in pairs:
            early = before.time_index[old.row] < cut
            np.testing.assert_array_equal(old.row, new.row)
            np.testing.assert_array_equal(old.x[early], new.x[early])
            num_same += int(early.sum())
            num_changed += int((old.x[~early] != new.x[~early]).any(axis=(1, 2)).sum())
        assert num_same
        assert num_changed


@pytest.mark.parametrize("name", ["shuffle", "blocks"])
def test_order_and_state_take_the_same_memory_for_a_million_and_a_thousand_million_rows(name: str) -> None:
    peaks = []
    for num_rows in (10**6, 10**8, 10**9):
        starts = np.arange(1000) * (num_rows // 1000)
        samples = Samples(starts, np.arange(1001) * (num_rows // 1000 - 60))

        tracemalloc.start()
        if name == "shuffle":
            order = PositionOrder(samples, 512, 0, Share(), shuffle=True)
            for step in (0, order.num_steps // 2, order.num_steps - 1):
                assert len(order.rows(3, step)) > 0
        else:
            tiles = TileOrder(samples, 512, 0, Share(), PoolSize(2**20, 128), Tiling(samples, 60))
            for step in (0, tiles.num_steps // 2, tiles.num_steps - 1):
                for pool, _, stop in tiles.parts(3, step):
                    assert len(tiles.members(3, pool).rows) >= stop
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    # Tiles are counted 65,536 at a time, 17 million rows: a million rows have fewer.
    assert peaks[2] < 1.05 * peaks[1] + 4096
    assert peaks[2] < (1.05 * peaks[0] + 4096 if name == "shuffle" else 12 * 1024 * 1024)


def test_batches_carry_mask_static_entity_and_sequence_targets_alike_in_mapped_and_pooled_orders(panel: Panel) -> None:
    static = np.arange(2 * panel.shape.num_entities, dtype=np.float32).reshape(-1, 2)
    beside = Beside(sequence_targets=True, mask=True, entity=True, time=True, static=static)
    samples = select_samples(panel, (0, panel.shape.num_dates), 6)

    for order, pool_bytes in ORDERS:
        gather = Gather(panel, 6, features=(2, 0), targets=(0,), beside=beside)
        seen = 0
        for batch in Windows(gather, samples, batch_size=64, order=order, pool_bytes=pool_bytes).epoch(0):
            wanted = np.array([panel.features[row - 5 : row + 1] for row in batch.row])[:, :, [2, 0]]
            assert batch.mask is not None
            np.testing.assert_array_equal(batch.mask, ~np.isnan(wanted))
            np.testing.assert_array_equal(batch.x, np.nan_to_num(wanted))
            np.testing.assert_array_equal(batch.y, [panel.targets[row - 5 : row + 1] for row in batch.row])
            entity = panel.entity_of(batch.row)
            np.testing.assert_array_equal(batch.entity, entity)
            np.testing.assert_array_equal(batch.static, static[entity])
            np.testing.assert_array_equal(batch.time, panel.time_index[batch.row])
            seen += int((~batch.mask).sum())
        assert seen > 0


def test_what_cannot_be_is_refused_by_name(panel: Panel) -> None:
    with pytest.raises(BudgetError, match=r"pool: one tile does not fit, found 2\.9 KiB, allowed: .* or more"):
        stream_of(panel, "blocks", 3000)
    with pytest.raises(BudgetError, match=r"pool: one date with its lookbacks does not fit"):
        stream_of(panel, "by_time", 3000)
    with pytest.raises(ConfigError, match="pool: the order blocks needs a pool"):
        stream_of(panel, "blocks")
    with pytest.raises(ConfigError, match=r"must divide evenly among 7 ranks, found 60\. Set it to 63"):
        stream_of(panel, "shuffle", share=Share(0, 7))
    with pytest.raises(ConfigError, match=r"rank: out of range, found 2, allowed: 0 to 1"):
        Share(2, 2)
    with pytest.raises(ConfigError, match="only the order blocks has tiles"):
        stream_of(panel, "shuffle", share=Share(0, 2, "tiles"))
    with pytest.raises(ResumeError, match=r"windows\.pool_bytes: .* found 50000, allowed: 60000"):
        stream_of(panel, "blocks", 60_000).load_state(stream_of(panel, "blocks", SOME_POOL).state())
