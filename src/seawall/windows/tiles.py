"""The ``blocks`` order: tiles of neighbouring samples are read into a pool, and the pool is emitted shuffled."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Int64
from seawall.errors import BudgetError
from seawall.units import format_bytes
from seawall.windows.finder import RowFinder
from seawall.windows.order import order_key, permutation, permute
from seawall.windows.samples import Samples
from seawall.windows.share import Share, check_batch

TILE_SAMPLES = 256
"""Samples of a tile. Fewer read the lookback before a tile more often (at 60 rows: 1.2 times the data), more put fewer
entities into the same pool."""


@dataclass(frozen=True, slots=True)
class Members:
    """Samples of one pool: ``rows`` ascending, ``order`` the places in it in which they are emitted."""

    rows: Int64
    order: Int64


@dataclass(frozen=True, slots=True)
class PoolSize:
    """How large a pool is, counted as the reader counts: rows it must hold at the worst, and their bytes."""

    pool_bytes: int
    row_bytes: int
    """Bytes of a row of all arrays that are read."""
    sample_bytes: int = 40
    """Place and row id of each sample of the pool, and half of what making them takes: two pools, one being made."""


class TileOrder:
    """Batches drawn at random from one pool after the other.

    Tiles are ``tile_samples`` neighbouring samples in row order: neighbours of one entity, but where it ends. The order
    of tiles is a keyed permutation of the epoch, the order inside a pool one of (epoch, pool). All tiles are equally
    large but a last short one, which belongs to the last pool; so where a batch lies is arithmetic, and memory does not
    grow with the number of samples. A pool that holds everything is an exact global shuffle.

    Raises
    ------
    BudgetError
        Where the pool cannot hold one tile.
    """

    def __init__(
        self, samples: Samples, batch_size: int, seed: int, share: Share, size: PoolSize, tiles: "Tiling"
    ) -> None:
        check_batch(batch_size, share)
        self.samples, self.batch_size, self.seed, self.share, self.tiles = samples, batch_size, seed, share, tiles
        self._finder = RowFinder(samples)
        tiles_in_pool = tiles.fitting(size)
        self.own_tiles, self.rest = self._dealt()
        self.num_pools = max(1, -(-self.own_tiles // tiles_in_pool))
        self.capacity_rows = tiles.largest_rows(min(tiles_in_pool, max(self.own_tiles, 1)), self.rest)
        self.num_steps = self._num_steps()

    @property
    def num_own(self) -> int:
        """Samples this rank emits in an epoch, where tiles are dealt; else all."""
        return self.own_tiles * self.tiles.tile_samples + self.rest

    def parts(self, epoch: int, step: int) -> Iterator[tuple[int, int, int]]:
        """Give where a batch lies: (pool, first place, stop place), pools in order."""
        del epoch
        start, stop = self._positions(step)
        while start < stop:
            pool = self._pool_at(start)
            first, last = self._bounds(pool)
            yield pool, start - first, min(stop, last) - first
            start = min(stop, last)

    def members(self, epoch: int, pool: int) -> Members:
        """List the samples of a pool and the order they come in; 16 bytes a sample."""
        first, last = self._tile_bounds(pool)
        tiles = np.sort(self._tiles(epoch, np.arange(first, last)))
        positions = (tiles[:, None] * self.tiles.tile_samples + np.arange(self.tiles.tile_samples)).reshape(-1)
        if pool == self.num_pools - 1 and self.rest:
            start = self.tiles.num_tiles * self.tiles.tile_samples
            positions = np.append(positions, np.arange(start, start + self.rest))
        return Members(self._finder.rows(positions), permutation(len(positions), order_key(self.seed, epoch, pool + 1)))

    def _dealt(self) -> tuple[int, int]:
        """Count the whole tiles of this rank, and the samples of the short one if it is its."""
        num_tiles, rest = self.tiles.num_tiles, self.samples.num_samples % self.tiles.tile_samples
        if self.share.deal == "batches" or self.share.world_size == 1:
            return num_tiles, rest
        rank, world_size = self.share.rank, self.share.world_size
        return len(range(rank, num_tiles, world_size)), rest if rank == num_tiles % world_size else 0

    def _num_steps(self) -> int:
        if self.share.deal == "batches":
            return -(-self.samples.num_samples // self.batch_size)
        # The rank with most samples: all of them take as many steps.
        world_size, tile_samples = self.share.world_size, self.tiles.tile_samples
        most = self.samples.num_samples // (world_size * tile_samples) * tile_samples
        most += min(self.samples.num_samples % (world_size * tile_samples), tile_samples)
        return -(-most // (self.batch_size // world_size))

    def _positions(self, step: int) -> tuple[int, int]:
        if self.share.deal == "tiles":
            return step * self.num_own // self.num_steps, (step + 1) * self.num_own // self.num_steps
        start = step * self.batch_size
        return self.share.part(start, min(start + self.batch_size, self.samples.num_samples))

    def _tile_bounds(self, pool: int) -> tuple[int, int]:
        return pool * self.own_tiles // self.num_pools, (pool + 1) * self.own_tiles // self.num_pools

    def _bounds(self, pool: int) -> tuple[int, int]:
        first, last = self._tile_bounds(pool)
        extra = self.rest if pool == self.num_pools - 1 else 0
        return first * self.tiles.tile_samples, last * self.tiles.tile_samples + extra

    def _pool_at(self, position: int) -> int:
        tile = min(position // self.tiles.tile_samples, self.own_tiles - 1)
        if tile < 0:
            return 0
        pool = tile * self.num_pools // self.own_tiles
        while self._tile_bounds(pool)[1] <= tile:
            pool += 1
        return pool

    def _tiles(self, epoch: int, places: Int64) -> Int64:
        if self.share.deal == "tiles":
            places = places * self.share.world_size + self.share.rank
        return permute(self.tiles.num_tiles, order_key(self.seed, epoch), places) if len(places) else places


class Tiling:
    """How samples are cut into tiles, and how many rows the largest of them need with their lookback.

    Counting is one pass over the runs of samples, in blocks of tiles; what is kept is a histogram of sizes.
    """

    def __init__(self, samples: Samples, lookback_periods: int, tile_samples: int = TILE_SAMPLES) -> None:
        self.samples, self.lookback_periods, self.tile_samples = samples, lookback_periods, tile_samples
        self.num_tiles = samples.num_samples // tile_samples
        self._bridges = _bridges(samples, lookback_periods - 1)
        self.rest_rows = self._rows_of(np.array([self.num_tiles]))[0] if samples.num_samples % tile_samples else 0
        self._sizes = self._histogram()

    def largest_rows(self, num_tiles: int, rest: int) -> int:
        """Give the rows of the ``num_tiles`` largest tiles together, and of the short one: more no pool can need."""
        sizes = np.arange(len(self._sizes))[::-1]
        taken = np.minimum(np.cumsum(self._sizes[::-1]), num_tiles)
        return int((np.diff(taken, prepend=0) * sizes).sum()) + (self.rest_rows if rest else 0)

    def fitting(self, size: PoolSize) -> int:
        """Count the tiles that fit into a pool, whichever they are.

        Raises
        ------
        BudgetError
            Where not even one fits.
        """
        low, high = 0, max(self.num_tiles, 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._bytes(middle, size) <= size.pool_bytes else (low, middle - 1)
        if low == 0:
            found, allowed = format_bytes(size.pool_bytes), f"{format_bytes(self._bytes(1, size))} or more"
            raise BudgetError("pool", "one tile does not fit", found=found, allowed=allowed, do="Enlarge the pool.")
        return low

    @property
    def read_rows(self) -> int:
        """Rows read in an epoch, lookbacks before the tiles included."""
        return int((self._sizes * np.arange(len(self._sizes))).sum()) + int(self.rest_rows)

    def _bytes(self, num_tiles: int, size: PoolSize) -> int:
        samples = num_tiles * self.tile_samples + (self.samples.num_samples % self.tile_samples)
        return self.largest_rows(num_tiles, 1) * size.row_bytes + samples * size.sample_bytes

    def _histogram(self) -> Int64:
        counts = np.zeros(self.tile_samples * self.lookback_periods + 1, np.int64)
        for start in range(0, self.num_tiles, 65_536):
            sizes = self._rows_of(np.arange(start, min(start + 65_536, self.num_tiles)))
            counts += np.bincount(sizes, minlength=len(counts))
        return counts

    def _rows_of(self, tiles: Int64) -> Int64:
        """Count the rows a tile needs: its samples, one lookback before it, and what lies between two of its runs."""
        before = self.samples.before
        first = tiles * self.tile_samples
        last = np.minimum(first + self.tile_samples, self.samples.num_samples) - 1
        first_run = np.searchsorted(before, first, side="right") - 1
        last_run = np.searchsorted(before, last, side="right") - 1
        return last - first + self.lookback_periods + self._bridges[last_run] - self._bridges[first_run]


def _bridges(samples: Samples, halo_rows: int) -> Int64:
    """Count, up to each run, the rows read between runs: those in between, or a lookback where the gap is longer."""
    rows = np.zeros(len(samples.first_rows), np.int64)
    if len(rows):
        gaps = samples.first_rows[1:] - (samples.first_rows[:-1] + samples.lengths[:-1])
        np.cumsum(np.minimum(gaps, halo_rows), out=rows[1:])
    return rows
