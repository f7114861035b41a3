"""The trades of one combination, looked up in the tables: when, why, what it netted."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import Bool, Float64, Int64
from seawall.search.costs import Costs
from seawall.search.detail import Finer, Keys
from seawall.search.first_hit import Tables
from seawall.search.levels import OFF, ExitLevels

REASONS = (
    "stop_gap",
    "trail_gap",
    "liquidation_gap",
    "tp_gap",
    "stop",
    "trail",
    "liquidation",
    "tp",
    "time",
    "time_gap",
)


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Trades of a chunk [N]."""

    bars_held: Int64
    reason: Int64
    """Places in ``REASONS``."""
    net: Float64
    optimistic: Float64
    is_ambiguous: Bool
    """Stop and take-profit inside the exit bar, and no finer bar that tells which came first."""
    is_resolved: Bool
    """Stop and take-profit inside the exit bar, and finer bars told which came first."""


def stop_pair(tables: Tables, stop: int, trail: int) -> tuple[Keys, Float64]:
    """Join a stop-loss and a trail: the earlier is hit; in one bar and phase the tighter, which pays more."""
    fixed, moving = tables.stop[stop], tables.trail[trail]
    fixed_net, moving_net = tables.stop_net[stop], tables.trail_net[trail]
    net = np.where(fixed < moving, fixed_net, moving_net)
    same = fixed == moving
    np.copyto(net, np.maximum(fixed_net, moving_net), where=same)
    return np.minimum(fixed, moving), net


def stop_place(tables: Tables, finer: Finer, stop: int, trail: int) -> Keys:
    """Give the finer bar of what :func:`stop_pair` gives: in one bar and phase the tighter is met first."""
    fixed, moving = tables.stop[stop], tables.trail[trail]
    place = np.where(fixed < moving, finer.stop[stop], finer.trail[trail])
    np.copyto(place, np.minimum(finer.stop[stop], finer.trail[trail]), where=fixed == moving)
    return np.asarray(place)


def resolve(tables: Tables, levels: ExitLevels, number: int, costs: Costs) -> Trades:
    """Give every trade of one combination of a grid."""
    a, s, r, h = (int(place) for place in np.unravel_index(number, levels.shape))
    key, net = stop_pair(tables, s, r)
    target, target_net = tables.take_profit[a], tables.take_profit_net[a]
    time, time_net = tables.time[h], tables.time_net[h]
    is_time = time <= np.minimum(key, target)
    is_stop = ~is_time & (key <= target)
    is_ambiguous = is_stop & (target == key + 1) & (key % 4 == 1)
    is_resolved = np.zeros(len(key), bool)
    if tables.finer is not None:
        stopped, touched = stop_place(tables, tables.finer, s, r), tables.finer.take_profit[a]
        is_resolved = is_ambiguous & (stopped != touched)
        is_ambiguous &= ~is_resolved
        is_stop &= ~(is_resolved & (touched < stopped))
    found = np.where(is_time, time, np.minimum(key, target)).astype(np.int64)
    total = np.where(is_time, time_net, np.where(is_stop, net, target_net))
    liquidates = costs.liquidation != OFF and costs.liquidation <= levels.stop_loss[s]
    fixed, moving = tables.stop[s], tables.trail[r]
    is_fixed = (fixed < moving) | ((fixed == moving) & (tables.stop_net[s] >= tables.trail_net[r]))
    name = np.where(is_fixed, 2 if liquidates else 0, 1)
    phase = found % 4
    reason = np.where(is_stop, name + np.where(phase == 0, 0, 4), np.where(phase == 0, 3, 7))
    reason = np.where(is_time, np.where(phase == 0, 9, 8), reason)
    optimistic = np.where(is_ambiguous, target_net, total)
    return Trades(found // 4, reason.astype(np.int64), total, optimistic, is_ambiguous, is_resolved)
