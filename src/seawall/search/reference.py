"""The judge: one trade at a time in plain Python, bar by bar, in the words of the specification. Slow on purpose."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seawall.search.costs import Costs, net_return
from seawall.search.levels import OFF, Exit


@dataclass(frozen=True, slots=True)
class PlainBars:
    """Bars of one entity as lists."""

    open: Sequence[float]
    high: Sequence[float]
    low: Sequence[float]
    close: Sequence[float]
    slot: Sequence[int]
    funding: Sequence[float]


@dataclass(frozen=True, slots=True)
class Trade:
    """How one trade ended."""

    bars_held: int
    """Bars after the entry bar at which it ended; missing bars are not counted."""
    reason: str
    net: float
    optimistic: float
    """Net return had the take-profit come first where stop and take-profit are inside the exit bar."""
    is_ambiguous: bool
    is_resolved: bool = False
    """Finer bars told which came first."""


Finer = Callable[[int], Sequence[tuple[float, float]]]
"""Gives (high, low) of the finer bars inside the bar of a row."""


def no_finer(row: int) -> Sequence[tuple[float, float]]:
    """Give no finer bars."""
    return ()


def walk(bars: PlainBars, entry: int, side: int, exit_: Exit, costs: Costs, finer: Finer = no_finer) -> Trade:
    """Follow one trade from the open of its entry bar to its exit.

    Looks at no bar after the exit. The bars must go on to the end of the holding limit. Finer bars are looked at only
    where stop and take-profit lie inside the exit bar.

    Parameters
    ----------
    entry
        Row of the entry bar.
    side
        1 long, -1 short.
    """
    s = float(side)
    price = bars.open[entry] * (1.0 + s * costs.entry_slippage)
    target = price * (1.0 + s * exit_.take_profit)
    touch = price * (1.0 + s * (exit_.take_profit + costs.penetration))
    stop = price * (1.0 - s * min(exit_.stop_loss, costs.liquidation))
    stop_name = "liquidation" if costs.liquidation <= exit_.stop_loss and costs.liquidation != OFF else "stop"
    arming = price * (1.0 + s * exit_.activation)
    peak = price
    k = entry
    while True:
        elapsed, fund = bars.slot[k] - bars.slot[entry], bars.funding[k] - bars.funding[entry]
        late = elapsed > exit_.holding - 1
        if late:
            return _plain(k - entry, "time_gap", net_return(s, bars.open[k], price, costs.time, fund))
        adverse, favourable = (bars.low[k], bars.high[k]) if side > 0 else (bars.high[k], bars.low[k])
        armed = exit_.trail != OFF and s * peak >= s * arming
        trail = peak * (1.0 - s * exit_.trail) if armed else -s * OFF
        if k > entry and _reached(s, bars.open[k], stop, trail):
            name = stop_name if s * bars.open[k] <= s * stop else "trail"
            return _plain(k - entry, f"{name}_gap", net_return(s, bars.open[k], price, costs.stop, fund))
        if k > entry and s * bars.open[k] >= s * target:
            fill = bars.open[k] if costs.fills_gap_at_open else target
            return _plain(k - entry, "tp_gap", net_return(s, fill, price, costs.take_profit, fund))
        best = net_return(s, target, price, costs.take_profit, fund)
        if _reached(s, adverse, stop, trail):
            found = [(net_return(s, level, price, costs.stop, fund), name)
                     for level, name in ((stop, stop_name), (trail, "trail")) if s * adverse <= s * level]  # fmt: skip
            net, name = max(found, key=lambda pair: pair[0])
            if s * favourable < s * touch:
                return _plain(k - entry, name, net)
            first = _first_inside(finer(k), s, touch, (stop, trail))
            if first == "tp":
                return Trade(k - entry, "tp", best, best, is_ambiguous=False, is_resolved=True)
            unclear = first != "stop"
            return Trade(k - entry, name, net, best if unclear else net, unclear, is_resolved=not unclear)
        if s * favourable >= s * touch:
            return _plain(k - entry, "tp", best)
        peak = max(peak, favourable) if side > 0 else min(peak, favourable)
        if elapsed == exit_.holding - 1:
            return _plain(k - entry, "time", net_return(s, bars.close[k], price, costs.time, fund))
        k += 1


def _first_inside(
    finer: Sequence[tuple[float, float]], side: float, touch: float, stops: tuple[float, float]
) -> str:  # fmt: skip
    """Tell which the finer bars reach first: "tp", "stop", or "" where they do not tell."""
    for high, low in finer:
        favourable, adverse = (high, low) if side > 0 else (low, high)
        stopped, touched = _reached(side, adverse, *stops), side * favourable >= side * touch
        if stopped or touched:
            return "" if stopped and touched else ("stop" if stopped else "tp")
    return ""


def _reached(side: float, price: float, stop: float, trail: float) -> bool:
    return side * price <= side * stop or side * price <= side * trail


def _plain(bars_held: int, reason: str, net: float) -> Trade:
    return Trade(bars_held, reason, net, net, is_ambiguous=False)
