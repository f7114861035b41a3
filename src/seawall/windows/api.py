"""Windows of a panel for anybody's own training loop."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from seawall.arrays import AnyArray, Float32
from seawall.budget.claims import Claim
from seawall.budget.limits import find_budget
from seawall.errors import ConfigError, nearest
from seawall.stores.panel import Panel
from seawall.units import format_bytes, parse_bytes
from seawall.windows.choose import ORDERS, Chosen, choose_order, stream_claims
from seawall.windows.gather import Beside, Gather
from seawall.windows.samples import Samples, select_samples
from seawall.windows.scaling import Scaling, check_samples, check_scaling, fit_scaling
from seawall.windows.share import Deal, Share
from seawall.windows.slabs import SlabOrder
from seawall.windows.static import static_of
from seawall.windows.stream import Pooled, State, Windows
from seawall.windows.tiles import TileOrder

Arrays: TypeAlias = dict[str, AnyArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsChoice:
    """What a stream of windows gives and in which order."""

    lookback: int
    """Consecutive rows of an entity that a window holds."""
    batch: int = 512
    """Windows of a global batch: each rank gets its part of it."""
    order: str = "auto"
    """``shuffle``, ``blocks``, ``by_time``, ``sequential``; ``auto`` takes what the memory at hand allows."""
    seed: int = 0
    columns: Sequence[str] | None = None
    """Features by name, in this order; None takes all."""
    targets: Sequence[str] | None = None
    """Targets by name; None takes all."""
    sequence_targets: bool = False
    """``y`` of every step, not of the last alone."""
    mask: bool = False
    """``mask`` beside ``x``, True where a value is stored; missing values become 0."""
    missing: str = "keep"
    """``keep`` leaves missing features NaN, ``zero`` makes them 0."""
    scaling: Scaling | str | None = None
    """``zscore`` fits mean and deviation on the very samples of this stream; or the ``scaling`` of another stream."""
    static: Float32 | Sequence[str] | None = None
    """float32 [E, S] in the order of ``panel.entities``, or names of ``panel.attributes``; a batch has its rows as
    ``static``."""
    rank: int = 0
    world_size: int = 1
    deal: Deal = "batches"
    """``tiles`` deals whole tiles of the order ``blocks`` to ranks: no rank reads what another uses."""
    pool: str | int | None = None
    """Size of a pool, for example ``64MiB``; None leaves it to the memory at hand."""
    memory: str | int | None = None
    """Memory at hand, for example ``2GiB``; None asks the machine and its container."""

    def __post_init__(self) -> None:
        if self.order != "auto" and self.order not in ORDERS:
            do = nearest(self.order, (*ORDERS, "auto"))
            raise ConfigError("order", "unknown order", found=repr(self.order), do=do)
        if self.missing not in ("keep", "zero"):
            raise ConfigError("missing", "unknown", found=repr(self.missing), allowed="keep or zero")
        for name, value in (("lookback", self.lookback), ("batch", self.batch)):
            if value < 1:
                raise ConfigError(name, "must be greater than zero", found=str(value))


class NamedWindows:
    """Batches as dictionaries of arrays: x, y, row, entity, time, and mask and static where asked for.

    Iterating gives one epoch, iterating again the next. ``len`` is the number of batches of an epoch. :meth:`state`
    and :meth:`load_state` continue exactly after any batch. An array that is kept is never written over.

    Parameters
    ----------
    convert
        Applied to each batch before it is handed out.
    """

    def __init__(
        self, panel: Panel, samples: Samples, choice: WindowsChoice, convert: Callable[[Arrays], dict[str, Any]] = dict
    ) -> None:
        self.panel, self.samples, self.choice, self.convert = panel, samples, choice, convert
        self._columns = columns_of(panel, "features", choice.columns)
        self._targets = columns_of(panel, "targets", choice.targets)
        check_scaling(choice.scaling, len(self._columns))
        fitted = fit_scaling(panel, samples, self._columns) if isinstance(choice.scaling, str) else choice.scaling
        self.scaling: Scaling | None = fitted
        """How features were scaled; give it to the windows of valid and test."""
        pool_bytes = None if choice.pool is None else parse_bytes(choice.pool, where="pool")
        budget = find_budget(choice.memory)
        room_bytes = max(budget.bytes - budget.own_bytes, 0)  # windows live in this very process
        self.chosen = choose_order(choice.order, self._data_bytes(), room_bytes, pool_bytes)
        self.stream = self._stream(self.chosen)

    def __len__(self) -> int:
        return len(self.stream)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.stream:
            yield self.convert(batch.named())

    def steps(self, epoch: int, *, first_step: int = 0, stride: int = 1) -> Iterator[dict[str, Any]]:
        """Give the batches of any epoch from any step on, every ``stride``-th; the position does not move."""
        for batch in self.stream.epoch(epoch, first_step=first_step, stride=stride):
            yield self.convert(batch.named())

    @property
    def epoch(self) -> int:
        """Epoch of the next batch."""
        return self.stream.position[0]

    @property
    def progress(self) -> float:
        """Share of the epoch that was handed out."""
        return self.stream.position[1] / max(1, len(self))

    def state(self) -> State:
        """Give the position as a small dictionary of plain values: the batch handed out last counts as used."""
        return self.stream.state()

    def load_state(self, state: State) -> None:
        """Continue at a position that :meth:`state` gave.

        An order that was left to the memory at hand stays what it was when the state was taken.

        Raises
        ------
        ResumeError
            Where the state belongs to another panel, batch, lookback, order, pool or seed.
        """
        order, pool_bytes = str(state.get("order")), int(state.get("pool_bytes", 0))
        if self.choice.order == "auto" and (order, pool_bytes) != (self.chosen.order, self.chosen.pool_bytes):
            known = next((name for name in ORDERS if name == order), self.chosen.order)
            self.chosen = Chosen(known, pool_bytes, "as when the state was taken")
            self.stream = self._stream(self.chosen)
        self.stream.load_state(state)

    def claims(self) -> tuple[Claim, ...]:
        """Say what this stream holds at most."""
        choice = self.choice
        per_step = len(self._columns) * (5 if choice.mask else 4) + len(self._targets) * 4 * choice.sequence_targets
        window_bytes = choice.lookback * per_step + 4 * len(self._targets) + 24
        if self.chosen.order != "by_time":
            return stream_claims(self.chosen, choice.batch // choice.world_size, window_bytes)
        slab_bytes = min(self.chosen.pool_bytes, self._data_bytes())  # a slab holds a row once
        chosen = replace(self.chosen, pool_bytes=slab_bytes)
        return stream_claims(chosen, self.panel.shape.max_rows_per_date, window_bytes)

    def describe(self) -> str:
        """Tell what comes in which order, why, how much is read for it, and how much memory it takes."""
        choice, order = self.choice, self.stream.source
        lines = [
            f"{self.samples.num_samples:,} windows of {choice.lookback} rows x {len(self._columns)} features",
            f"order {self.chosen.order}: {self.chosen.why}",
            f"batches: {len(self):,} an epoch" + ("" if choice.world_size == 1 else f" on each of {choice.world_size}"),
        ]
        if isinstance(order, Pooled):
            lines.append(_pool_text(order.order, self.panel.shape.num_rows))
        lines += [f"memory, {claim.purpose}: {format_bytes(claim.bytes)} = {claim.formula}" for claim in self.claims()]
        return "\n".join(lines)

    def _data_bytes(self) -> int:
        shape = self.panel.shape
        return 4 * shape.num_rows * (shape.num_features + shape.num_targets)

    def _stream(self, chosen: Chosen) -> Windows:
        choice = self.choice
        beside = Beside(
            sequence_targets=choice.sequence_targets,
            mask=choice.mask,
            fill_missing=choice.missing == "zero",
            entity=True,
            time=True,
            static=static_of(self.panel, choice.static),
        )
        gather = Gather(
            self.panel,
            choice.lookback,
            features=self._columns,
            targets=self._targets,
            scaling=self.scaling,
            random_access=chosen.order == "shuffle" and "slow" in chosen.why,
            beside=beside,
        )
        return Windows(
            gather,
            self.samples,
            batch_size=choice.batch,
            order=chosen.order,
            seed=choice.seed,
            share=Share(choice.rank, choice.world_size, choice.deal),
            pool_bytes=chosen.pool_bytes or None,
        )


def make_windows(
    panel: Panel,
    choice: WindowsChoice,
    *,
    dates: tuple[int, int] | None = None,
    samples: Samples | None = None,
    convert: Callable[[Arrays], dict[str, Any]] = dict,
) -> NamedWindows:
    """Open a stream over all legal windows of a panel, of a half-open range of calendar indices, or of some samples.

    Raises
    ------
    ConfigError
        For unknown columns or orders, or where no entity has ``lookback`` rows.
    """
    if samples is not None:
        if dates is not None:
            raise ConfigError("samples", "cannot be given with dates")
        check_samples(panel, samples, choice.lookback)
        return NamedWindows(panel, samples, choice, convert)
    samples = select_samples(panel, dates or (0, panel.shape.num_dates), choice.lookback)
    return NamedWindows(panel, samples, choice, convert)


def columns_of(panel: Panel, group: str, names: Sequence[str] | None) -> tuple[int, ...]:
    """Find the columns of a group by name, in the order asked for; None gives all."""
    if names is None:
        return tuple(np.arange(len(panel.names(group))).tolist())
    return tuple(panel.column_index(group, name) for name in names)


def _pool_text(order: TileOrder | SlabOrder, num_rows: int) -> str:
    if isinstance(order, SlabOrder):
        return f"slabs: {order.num_pools:,}, bytes read {order.amplification:.2f} x the data"
    tiles, in_pool = order.tiles, -(-order.own_tiles // order.num_pools)
    shuffle = "an exact global shuffle" if order.num_pools == 1 else "shuffled inside each pool"
    amplification = tiles.read_rows / max(1, num_rows)
    return (
        f"pools: {order.num_pools:,} of {in_pool:,} tiles of {tiles.tile_samples} windows, {shuffle};"
        f" bytes read {amplification:.2f} x the data"
    )
