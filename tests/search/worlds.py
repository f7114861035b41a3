"""Random bars with gaps and missing bars, of several entities, and entries into them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from seawall.arrays import Float64, Int64
from seawall.search.bars import Bars, global_slots
from seawall.search.config import CostsConfig, GridConfig, SearchConfig
from seawall.search.costs import Costs
from seawall.search.entry_columns import Side
from seawall.search.reference import PlainBars

PRICES = ("open", "high", "low", "close")

NO_COSTS = CostsConfig(
    taker_fee_bps=0, maker_fee_bps=0, entry_slippage_bps=0, stop_slippage_bps=0, market_slippage_bps=0
)
SOME_COSTS = CostsConfig(
    taker_fee_bps=4, maker_fee_bps=2, entry_slippage_bps=1, stop_slippage_bps=3, market_slippage_bps=2
)


def make_bars(columns: Sequence[tuple[Int64, Float64, Float64, Float64, Float64]], *, seed: int = 0) -> Bars:
    """Make bars of several entities from (slot, open, high, low, close)."""
    offsets = np.concatenate([[0], np.cumsum([len(column[0]) for column in columns])]).astype(np.int64)
    draws = np.random.default_rng(seed).normal(0, 1e-5, int(offsets[-1]))
    joined = [np.concatenate([column[i] for column in columns]) for i in range(5)]
    return Bars(
        time=joined[0].astype(np.int64),
        open=joined[1],
        high=joined[2],
        low=joined[3],
        close=joined[4],
        slot=global_slots([column[0] for column in columns]),
        funding=np.cumsum(draws),
        offsets=offsets,
        entities=tuple(f"E{i}" for i in range(len(columns))),
        period=1,
    )


def random_bars(
    seed: int, *, num_bars: int = 400, num_entities: int = 3, missing: float = 0.05, gaps: float = 0.05,
    volatility: float = 0.004, ticks: bool = False,
) -> Bars:  # fmt: skip
    """Draw heavy-tailed bars; ``ticks`` rounds prices so that levels are hit exactly now and then."""
    rng = np.random.default_rng(seed)
    columns = []
    for _ in range(num_entities):
        steps = rng.standard_t(4, (num_bars, 8)) * volatility / np.sqrt(8)
        jumps = np.where(rng.random(num_bars) < gaps, rng.normal(0, 4 * volatility, num_bars), 0.0)
        steps[:, 0] = jumps
        path = 100 * np.exp(np.cumsum(steps).reshape(num_bars, 8))
        if ticks:
            path = np.round(path, 1)
        kept = np.flatnonzero(rng.random(num_bars) >= missing)
        path = path[kept]
        columns.append((kept.astype(np.int64), path[:, 0], path.max(1), path.min(1), path[:, -1]))
    return make_bars(columns, seed=seed)


def coarse_and_finer(seed: int, *, num_bars: int, factor: int, ticks: bool = False) -> tuple[Bars, Bars]:
    """Draw fine bars and join ``factor`` of them to each coarse bar; some of the fine ones get lost afterwards."""
    finer = random_bars(seed, num_bars=num_bars * factor, missing=0.0, gaps=0.02, volatility=0.002, ticks=ticks)
    columns = []
    for start, stop in pairwise(finer.offsets.tolist()):
        own = [np.asarray(getattr(finer, name)[start:stop]).reshape(-1, factor) for name in PRICES]
        first, high, low, last = own[0][:, 0], own[1].max(axis=1), own[2].min(axis=1), own[3][:, -1]
        columns.append((np.arange(num_bars, dtype=np.int64), first, high, low, last))
    coarse = make_bars(columns, seed=seed)
    rng = np.random.default_rng(seed)
    kept = np.flatnonzero((rng.random(finer.num_bars) > 0.1) & (finer.entity_of(np.arange(finer.num_bars)) != 1))
    offsets = np.searchsorted(kept, finer.offsets)
    shown = {name: getattr(finer, name)[kept] for name in (*PRICES, "time", "slot", "funding")}
    return replace(coarse, time=coarse.time * factor, period=factor), replace(finer, **shown, offsets=offsets)


def random_entries(bars: Bars, seed: int, *, num_entries: int, max_holding: int) -> tuple[Int64, Side]:
    """Draw entries whose longest holding lies inside the data, in order of time."""
    rng = np.random.default_rng(seed + 1)
    possible = np.flatnonzero(bars.reaches(np.arange(bars.num_bars), max_holding))
    rows = np.sort(rng.choice(possible, num_entries)) if len(possible) else np.empty(0, np.int64)
    rows = rows[np.argsort(bars.time[rows], kind="stable")]
    return rows, np.where(rng.random(len(rows)) < 0.5, 1, -1).astype(np.int8)


def plain(bars: Bars) -> PlainBars:
    """Give bars as lists, for the reference loop: rows of all entities, one after another."""
    return PlainBars(
        bars.open.tolist(), bars.high.tolist(), bars.low.tolist(), bars.close.tolist(), bars.slot.tolist(),
        bars.funding.tolist(),
    )  # fmt: skip


GRID = GridConfig(
    take_profit_bps=(30, 60, 120, 300, None),
    stop_loss_bps=(30, 80, 200, None),
    trail={"distance_bps": (25, 60, 150), "activation_bps": (0, 40, 100), "include_off": True},
    holding_periods=(1, 4, 12, 40),
)


def costs_of(config: CostsConfig) -> Costs:
    return Costs.of(config)


def search_config(**changes: object) -> SearchConfig:
    """A small search over one type."""
    values: dict[str, object] = {
        "costs": SOME_COSTS.model_dump(),
        "types": {"scalping": {"grid": GRID.model_dump(), "opportunity_bps": 50}},
    }
    return SearchConfig.model_validate(values | changes)
