"""Simple entries from closes, for people without a model. The signal of a bar uses bars up to that bar, never later."""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from seawall.arrays import Float64
from seawall.budget.heartbeat import Beat
from seawall.search.bars import Bars
from seawall.search.config import SignalConfig
from seawall.search.costs import BPS
from seawall.search.entries import EntryWriter

PIECE_ROWS = 4096
"""Bars of one entity at a time; the lookback before them is read again."""

MAX_WINDOW_ELEMENTS = 262_144


def add_signals(bars: Bars, signal: SignalConfig, writer: EntryWriter, beat: Beat) -> None:
    """Add the entries of one rule for every entity; the score is the strength of the signal.

    Memory: ``PIECE_ROWS`` bars and the lookback. Entries are at least ``every_periods`` bars apart.
    """
    for entity in range(len(bars.entities)):
        start, stop = int(bars.offsets[entity]), int(bars.offsets[entity + 1])
        next_allowed = start
        for first in range(start + signal.lookback_periods, stop, PIECE_ROWS):
            last = min(first + PIECE_ROWS, stop)
            strength = _strength(bars, signal, first, last)
            wanted = np.abs(strength) >= signal.threshold * (1.0 if signal.kind == "mean_reversion" else BPS)
            if signal.sides != "both":
                wanted &= strength > 0 if signal.sides == "long" else strength < 0
            kept = []
            for row in (first + np.flatnonzero(wanted)).tolist():
                if row >= next_allowed:
                    kept.append(row)
                    next_allowed = row + signal.every_periods
            rows = np.array(kept, np.int64)
            sides = np.sign(strength[rows - first]).astype(np.int8)
            scores = np.abs(strength[rows - first])[:, None]
            writer.add(signal.type, np.full(len(rows), entity), np.asarray(bars.time[rows]), sides, scores)
        beat("signals", entity + 1, len(bars.entities))


def _strength(bars: Bars, signal: SignalConfig, first: int, last: int) -> Float64:
    """Give the signed strength of the signal at each bar: positive is long."""
    lookback = signal.lookback_periods
    close = np.asarray(bars.close[first - lookback : last])
    if signal.kind == "momentum":
        return np.asarray(close[lookback:] / close[:-lookback] - 1.0)
    if signal.kind == "breakout":
        highest = _windows(np.asarray(bars.high[first - lookback : last - 1]), lookback, np.max)
        lowest = _windows(np.asarray(bars.low[first - lookback : last - 1]), lookback, np.min)
        up, down = close[lookback:] / highest - 1.0, close[lookback:] / lowest - 1.0
        return np.where(up > 0, up, np.where(down < 0, down, 0.0))
    mean, spread = _windows(close[1:], lookback, np.mean), _windows(close[1:], lookback, np.std)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, (mean - close[lookback:]) / spread, 0.0)


def _windows(values: Float64, lookback: int, function: Callable[..., Float64]) -> Float64:
    """Apply a function to every window of the lookback, a bounded number of elements at a time."""
    windows = sliding_window_view(values, lookback)
    step = max(1, MAX_WINDOW_ELEMENTS // lookback)
    return np.concatenate([function(windows[i : i + step], axis=1) for i in range(0, len(windows), step)])
