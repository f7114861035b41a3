"""Batches of windows in an order that is a pure function of (seed, epoch): any step can be asked for at any time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from seawall.arrays import Float32, Int64
from seawall.errors import ConfigError, ResumeError, nearest
from seawall.windows.gather import Gather
from seawall.windows.order import order_key, permute
from seawall.windows.samples import Samples

Order: TypeAlias = Literal["shuffle", "sequential"]
ORDERS: tuple[Order, ...] = ("shuffle", "sequential")

_ORDER_BLOCK = 8192
"""Positions permuted together: 27 us per batch of 512 against 210 us when each batch is permuted alone (measured)."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows that belong together in one step."""

    x: Float32
    """float32 [B, L, F]"""
    y: Float32
    """float32 [B, K], unscaled, NaN where undefined"""
    row: Int64
    """int64 [B], the panel row each window ends at"""


class Windows:
    """All samples once an epoch, in batches of ``batch_size`` (the last one may be short).

    Iterating gives one epoch, then stops; iterating again gives the next. :meth:`state` between two batches and
    :meth:`restore` continue exactly there. The same (seed, epoch, step) gives the same batch whatever was read before.

    Memory is two batches (one being used, one being gathered ahead in a thread) and 64 KiB of order.

    Parameters
    ----------
    order
        ``shuffle``: a keyed permutation of all samples, new each epoch; ``sequential``: row order, every epoch alike.
    """

    def __init__(
        self, gather: Gather, samples: Samples, *, batch_size: int, order: Order = "shuffle", seed: int = 0
    ) -> None:
        if batch_size < 1:
            raise ConfigError("batch_size", "must be greater than zero", found=str(batch_size))
        if order not in ORDERS:
            raise ConfigError("order", "unknown order", found=repr(order), do=nearest(order, ORDERS))
        self.gather, self.samples, self.batch_size, self.order, self.seed = gather, samples, batch_size, order, seed
        self._epoch = self._step = 0
        self._block: tuple[tuple[int, int], Int64] = ((-1, -1), np.empty(0, np.int64))

    @property
    def num_batches(self) -> int:
        """Batches of one epoch."""
        return -(-self.samples.num_samples // self.batch_size)

    def __len__(self) -> int:
        return self.num_batches

    def rows(self, epoch: int, step: int) -> Int64:
        """Give the rows of one batch: int64 [B]."""
        start = step * self.batch_size
        positions = np.arange(start, min(start + self.batch_size, self.samples.num_samples))
        if self.order == "shuffle":
            positions = self._shuffled(epoch, positions)
        return self.samples.rows(positions)

    def batch(self, epoch: int, step: int) -> Batch:
        """Gather one batch."""
        rows = self.rows(epoch, step)
        return Batch(self.gather.features(rows), self.gather.target_values(rows), rows)

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[Batch]:
        """Give the batches of an epoch from ``first_step`` on; a thread gathers the next while one is used."""
        steps = range(first_step, self.num_batches)
        if not steps:
            return
        with ThreadPoolExecutor(1, "gather") as pool:
            ahead = pool.submit(self.batch, epoch, steps[0])
            for step in steps[1:]:
                ready = ahead.result()
                ahead = pool.submit(self.batch, epoch, step)
                yield ready
            yield ahead.result()

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.epoch(self._epoch, first_step=self._step):
            self._step += 1
            yield batch
        self._epoch, self._step = self._epoch + 1, 0

    def state(self) -> dict[str, int | str]:
        """Give the position as small plain values; the batch handed out last counts as used."""
        return {**self._identity(), "epoch": self._epoch, "step": self._step}

    def restore(self, state: dict[str, int | str]) -> None:
        """Continue at a position that :meth:`state` gave.

        Raises
        ------
        ResumeError
            Where the state belongs to other samples, another batch size, order or seed.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                what = "the saved position is of another stream"
                raise ResumeError(f"windows.{name}", what, found=repr(state.get(name)), allowed=repr(value))
        self._epoch, self._step = int(state["epoch"]), int(state["step"])

    def _identity(self) -> dict[str, int | str]:
        return {
            "num_samples": self.samples.num_samples,
            "batch_size": self.batch_size,
            "order": self.order,
            "seed": self.seed,
        }

    def _shuffled(self, epoch: int, positions: Int64) -> Int64:
        parts = []
        for block in range(int(positions[0]) // _ORDER_BLOCK, int(positions[-1]) // _ORDER_BLOCK + 1):
            inside = positions[positions // _ORDER_BLOCK == block]
            parts.append(self._order_block(epoch, block)[inside - block * _ORDER_BLOCK])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _order_block(self, epoch: int, block: int) -> Int64:
        if self._block[0] != (epoch, block):
            num_samples = self.samples.num_samples
            positions = np.arange(block * _ORDER_BLOCK, min((block + 1) * _ORDER_BLOCK, num_samples))
            self._block = ((epoch, block), permute(num_samples, order_key(self.seed, epoch), positions))
        return self._block[1]
