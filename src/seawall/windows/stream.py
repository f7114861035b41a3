"""Batches of windows in an order that is a pure function of (seed, epoch): any step can be asked for at any time."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, TypeAlias

import numpy as np

from seawall.arrays import Int64
from seawall.errors import ConfigError, ResumeError, nearest
from seawall.windows.ahead import ahead
from seawall.windows.choose import ORDERS, Order
from seawall.windows.direct import DateOrder, PositionOrder
from seawall.windows.gather import Batch, Gather
from seawall.windows.pool import Pool, PoolReader
from seawall.windows.samples import Samples
from seawall.windows.share import Share
from seawall.windows.slabs import SLAB_SAMPLE_BYTES, SlabOrder
from seawall.windows.tiles import PoolSize, TileOrder, Tiling

State: TypeAlias = dict[str, int | str]


class Source(Protocol):
    """Where the batches of an epoch come from."""

    num_steps: int

    def batches(self, epoch: int, steps: range) -> Iterator[Batch]:
        """Give the batches of these steps, in order."""


class Mapped:
    """Batches gathered from the mapped store where their rows lie."""

    def __init__(self, gather: Gather, order: PositionOrder | DateOrder) -> None:
        self.gather, self.order, self.num_steps = gather, order, order.num_steps

    def rows(self, epoch: int, step: int) -> Int64:
        """Give the rows of one batch."""
        return self.order.rows(epoch, step)

    def batches(self, epoch: int, steps: range) -> Iterator[Batch]:
        """Give the batches of these steps; a thread gathers the next while one is used."""
        return ahead((self.gather.batch(self.rows(epoch, step)) for step in steps), "gather")


class Pooled:
    """Batches cut out of pools: one thread reads the next pool, one cuts the next batch."""

    def __init__(self, gather: Gather, order: TileOrder | SlabOrder) -> None:
        self.gather, self.order, self.num_steps = gather, order, order.num_steps
        self.reader = PoolReader(gather, order)

    def batches(self, epoch: int, steps: range) -> Iterator[Batch]:
        """Give the batches of these steps. Pools that no step needs are not read."""
        return ahead(self._cut(epoch, steps), "gather")

    def _cut(self, epoch: int, steps: range) -> Iterator[Batch]:
        pools = ahead((self.reader.load(epoch, pool) for pool in self._needed(epoch, steps)), "read")
        pool: Pool | None = None
        for step in steps:
            pieces = []
            for number, first, stop in self.order.parts(epoch, step):
                while pool is None or pool.number != number:
                    pool = next(pools)
                pieces.append(pool.batch(first, stop, self.gather))
            yield _joined(pieces) if pieces else self.gather.batch(np.empty(0, np.int64))
        pools.close()

    def _needed(self, epoch: int, steps: range) -> Iterator[int]:
        last = -1
        for step in steps:
            for number, _, _ in self.order.parts(epoch, step):
                if number != last:
                    yield number
                last = number


class Windows:
    """All samples once an epoch, in batches.

    Iterating gives one epoch, then stops; iterating again gives the next. :meth:`state` between two batches and
    :meth:`load_state` continue exactly there. The same (seed, epoch, step) gives the same batch whatever was read
    before, and whatever reads ahead.

    Memory is three batches (one being used, one ready, one being gathered), the pools where there are some, and 256 KiB
    of order.

    Parameters
    ----------
    batch_size
        Windows of a *global* batch: each of ``share.world_size`` ranks gets its part of it. The last one of an epoch
        may be short. Orders by whole dates do not use it.
    order
        ``shuffle``: a keyed permutation of all samples, new each epoch. ``blocks``: tiles of neighbouring samples read
        into a pool, all windows of the pool in random order; a pool that holds all is an exact global shuffle.
        ``by_time``: a batch is one date's cross-section; dates in a keyed permutation, with a pool slab by slab.
        ``sequential``: row order, every epoch alike.
    pool_bytes
        Size of a pool; two are held where the data need more than one. Required by ``blocks``; with it ``by_time``
        reads slabs of dates instead of the mapped store.
    """

    def __init__(
        self,
        gather: Gather,
        samples: Samples,
        *,
        batch_size: int,
        order: Order = "shuffle",
        seed: int = 0,
        share: Share = Share(),
        pool_bytes: int | None = None,
    ) -> None:
        if order not in ORDERS:
            raise ConfigError("order", "unknown order", found=repr(order), do=nearest(order, ORDERS))
        self.gather, self.samples, self.batch_size, self.order, self.seed = gather, samples, batch_size, order, seed
        self.share, self.pool_bytes = share, pool_bytes
        self.source = self._source()
        self._samples_key = samples.key
        self._epoch = self._step = 0

    @property
    def num_batches(self) -> int:
        """Batches of one epoch."""
        return self.source.num_steps

    def __len__(self) -> int:
        return self.num_batches

    @property
    def position(self) -> tuple[int, int]:
        """Epoch and step of the next batch."""
        return self._epoch, self._step

    def epoch(self, epoch: int, *, first_step: int = 0, stride: int = 1) -> Iterator[Batch]:
        """Give the batches of an epoch from ``first_step`` on, every ``stride``-th."""
        steps = range(first_step, self.num_batches, stride)
        return self.source.batches(epoch, steps) if steps else iter(())

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.epoch(self._epoch, first_step=self._step):
            self._epoch, self._step = following(self._epoch, self._step, self.num_batches)
            yield batch

    def state(self) -> State:
        """Give the position as small plain values; the batch handed out last counts as used."""
        return {**self._identity(), "epoch": self._epoch, "step": self._step}

    def load_state(self, state: State) -> None:
        """Continue at a position that :meth:`state` gave.

        Raises
        ------
        ResumeError
            Where the state belongs to other samples, another batch size, order, pool or seed.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                what = "the saved position is of another stream"
                raise ResumeError(f"windows.{name}", what, found=repr(state.get(name)), allowed=repr(value))
        self._epoch, self._step = int(state["epoch"]), int(state["step"])

    def _identity(self) -> State:
        """Name what decides the order. The number of ranks is part of it only where it does."""
        identity: State = {
            "panel": self.gather.panel.content_key,
            "num_samples": self.samples.num_samples,
            "samples": self._samples_key,
            "lookback_periods": self.gather.lookback_periods,
            "batch_size": self.batch_size,
            "order": self.order,
            "seed": self.seed,
        }
        if isinstance(self.source, Pooled):
            identity["pool_bytes"] = self.pool_bytes or 0
        if self.share.world_size > 1 and (self.share.deal == "tiles" or self.order == "by_time"):
            identity["world_size"] = self.share.world_size
        return identity

    def _source(self) -> Mapped | Pooled:
        gather, samples, seed, share = self.gather, self.samples, self.seed, self.share
        if share.deal == "tiles" and self.order != "blocks":
            do = "Use deal batches."
            raise ConfigError("deal", "only the order blocks has tiles", found=f"order {self.order!r}", do=do)
        if self.order in ("shuffle", "sequential"):
            shuffle = self.order == "shuffle"
            return Mapped(gather, PositionOrder(samples, self.batch_size, seed, share, shuffle=shuffle))
        if self.pool_bytes is None:
            if self.order == "blocks":
                raise ConfigError("pool", "the order blocks needs a pool", do="Declare one, for example 64MiB.")
            return Mapped(gather, DateOrder(gather.panel, samples, seed, share))
        size = PoolSize(self.pool_bytes, 4 * (gather.num_features + len(gather.targets)))
        if self.order == "by_time":
            size = replace(size, sample_bytes=SLAB_SAMPLE_BYTES)
            return Pooled(gather, SlabOrder(gather.panel, samples, gather.lookback_periods, seed, share, size))
        tiling = Tiling(samples, gather.lookback_periods)
        return Pooled(gather, TileOrder(samples, self.batch_size, seed, share, size, tiling))


def following(epoch: int, step: int, num_steps: int) -> tuple[int, int]:
    """Give the position after a step; after the last one it is the next epoch, whether or not more is asked for."""
    return (epoch, step + 1) if step + 1 < num_steps else (epoch + 1, 0)


def _joined(pieces: list[Batch]) -> Batch:
    """Put the parts of a batch that two pools hold together."""
    if len(pieces) == 1:
        return pieces[0]
    parts = [piece.named() for piece in pieces]
    return Batch(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
