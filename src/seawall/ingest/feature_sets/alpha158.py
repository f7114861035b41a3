"""The 158 features of Qlib's Alpha158, with Qlib's own edges.

Bars are rounded to float32 and combined in float32 where Qlib does so; windows hold what there is (one value is
enough), a missing bar is no value, except that a comparison with it is false, and that the place of a maximum is that
of the first missing bar in the window, because NumPy's ``argmax`` says so. Where Qlib divides rounding noise by zero
(a line through one point after a gap), a value here is undefined.
"""

from collections.abc import Callable, Iterator

import numpy as np

from seawall.arrays import AnyArray, Float32, Float64
from seawall.ingest.feature_sets.catalogue import WINDOWS
from seawall.ingest.feature_sets.dense import Dense
from seawall.ingest.feature_sets.rolling import (
    Spread,
    rolling_max,
    rolling_min,
    rolling_pairs,
    rolling_place,
    rolling_quantiles,
    rolling_ranks,
    rolling_spread,
    rolling_sums,
    rolling_trend,
)

Put = Callable[[str, AnyArray], None]
"""Take a feature's values at the last positions of a chunk."""

TINY = np.float32(1e-12)
FLAT_STD = 2e-5
"""Below it Qlib calls a window constant, and its correlation undefined."""


def compute(bars: Dense, put: Put) -> None:
    """Compute all features of a chunk, warnings about missing values off."""
    with np.errstate(all="ignore"):
        _bar_shapes(bars, put)
        close, volume = bars.columns["close"], bars.columns["volume"]
        counts = dict(rolling_sums(bars.exists.astype(np.float64), WINDOWS))
        spreads = dict(rolling_spread(close, WINDOWS))
        _price_levels(close, spreads, put)
        _trends(close, spreads, put)
        _ranges(bars, counts, put)
        _correlations(close, volume, spreads, put)
        _moves(close, counts, put)
        _volumes(close, volume, put)


def _tail(values: AnyArray, like: AnyArray) -> AnyArray:
    return values[len(values) - len(like) :]


def _previous(values: Float32, rows: int = 1) -> Float32:
    return np.concatenate([np.full(rows, np.nan, np.float32), values[:-rows]])


def _bar_shapes(bars: Dense, put: Put) -> None:
    opened, high, low, close = (bars.columns[name] for name in ("open", "high", "low", "close"))
    length = high - low + TINY
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    middle = 2 * close - high - low
    put("KMID", (close - opened) / opened)
    put("KLEN", (high - low) / opened)
    put("KMID2", (close - opened) / length)
    put("KUP", (high - top) / opened)
    put("KUP2", (high - top) / length)
    put("KLOW", (bottom - low) / opened)
    put("KLOW2", (bottom - low) / length)
    put("KSFT", middle / opened)
    put("KSFT2", middle / length)
    for name in ("open", "high", "low", "vwap"):
        if name in bars.columns:
            put(f"{name.upper()}0", bars.columns[name] / close)


def _price_levels(close: Float32, spreads: dict[int, Spread], put: Put) -> None:
    for rows, spread in spreads.items():
        last = _tail(close, spread.mean)
        put(f"ROC{rows}", _tail(_previous(close, rows) / close, last))
        put(f"MA{rows}", spread.known_mean / last)
        put(f"STD{rows}", spread.std / last)
        upper, lower = (level for _, level in rolling_quantiles(close, spread.count, rows, (0.8, 0.2)))
        is_there = spread.count > 0
        put(f"QTLU{rows}", np.where(is_there, upper, np.nan) / last)
        put(f"QTLD{rows}", np.where(is_there, lower, np.nan) / last)
    for rows, below in rolling_ranks(close, WINDOWS):
        put(
            f"RANK{rows}",
            np.where(np.isnan(_tail(close, below)), np.nan, below + 1) / _tail(spreads[rows].count, below),
        )


def _trends(close: Float32, spreads: dict[int, Spread], put: Put) -> None:
    for rows, line in rolling_trend(close, WINDOWS):
        last = _tail(close, line.xy)
        slope = np.where(line.count > 1, line.xy / line.xx, np.nan)
        std = spreads[rows].std
        put(f"BETA{rows}", slope / last)
        put(f"RSQR{rows}", np.where((line.count > 1) & ~(std <= FLAT_STD), line.correlation**2, np.nan))
        put(f"RESI{rows}", (last - (line.mean_y - slope * line.mean_x)) / last)


def _ranges(bars: Dense, counts: dict[int, Float64], put: Put) -> None:
    high, low, close = bars.columns["high"], bars.columns["low"], bars.columns["close"]
    highest, lowest = rolling_max(high, WINDOWS), rolling_min(low, WINDOWS)
    places = zip(_places(bars, high, counts), _places(bars, -low, counts), strict=True)
    for (rows, top), (_, bottom), (at_top, at_bottom) in zip(highest, lowest, places, strict=True):
        last = _tail(close, top)
        put(f"MAX{rows}", top.astype(np.float64) / last)
        put(f"MIN{rows}", bottom.astype(np.float64) / last)
        put(f"RSV{rows}", (last - bottom.astype(np.float64)) / (top.astype(np.float64) - bottom + 1e-12))
        put(f"IMAX{rows}", at_top / rows)
        put(f"IMIN{rows}", at_bottom / rows)
        put(f"IMXD{rows}", (at_top - at_bottom) / rows)


def _places(bars: Dense, values: Float32, counts: dict[int, Float64]) -> Iterator[Float64]:
    """Place of the largest value counted from the oldest row of the window, which is 1; the first missing one wins."""
    missing = np.isnan(values)
    ranked = np.where(missing, np.float32(np.inf), values)
    ranked[~bars.exists] = -np.inf
    numbers = rolling_sums((~missing).astype(np.float64), WINDOWS)
    for (rows, place), (_, number) in zip(rolling_place(ranked, WINDOWS), numbers, strict=True):
        yield np.where(number > 0, counts[rows] - place.age, np.nan)


def _correlations(close: Float32, volume: Float32, spreads: dict[int, Spread], put: Put) -> None:
    _correlate("CORR", close, np.log(volume + 1), spreads, put)
    ratio = close / _previous(close)
    _correlate(
        "CORD", ratio, _finite(np.log(volume / _previous(volume) + 1)), dict(rolling_spread(ratio, WINDOWS)), put
    )


def _finite(values: Float32) -> Float32:
    return np.where(np.isfinite(values), values, np.float32(np.nan))


def _correlate(name: str, x: Float32, y: Float32, of_x: dict[int, Spread], put: Put) -> None:
    of_y = rolling_spread(y, WINDOWS)
    for (rows, pairs), (_, spread) in zip(rolling_pairs(x, y, WINDOWS), of_y, strict=True):
        is_flat = (of_x[rows].std <= FLAT_STD) | (spread.std <= FLAT_STD)
        put(f"{name}{rows}", np.where(is_flat, np.nan, pairs.correlation))


def _moves(close: Float32, counts: dict[int, Float64], put: Put) -> None:
    before = _previous(close)
    rises, falls = (rolling_sums(moved.astype(np.float64), WINDOWS) for moved in (close > before, close < before))
    for (rows, risen), (_, fallen) in zip(rises, falls, strict=True):
        put(f"CNTP{rows}", risen / counts[rows])
        put(f"CNTN{rows}", fallen / counts[rows])
        put(f"CNTD{rows}", risen / counts[rows] - fallen / counts[rows])
    _gains("SUM", close, put)


def _gains(name: str, values: Float32, put: Put) -> None:
    """Sum rises and falls by the sum of all moves; undefined where a window has no move."""
    move = values - _previous(values)
    there = ~np.isnan(move)
    filled = np.where(there, move, np.float32(0)).astype(np.float64)
    sums = (rolling_sums(part, WINDOWS) for part in (np.maximum(filled, 0), np.maximum(-filled, 0), there * 1.0))
    for (rows, gain), (_, loss), (_, number) in zip(*sums, strict=True):
        whole = np.where(number > 0, gain + loss + 1e-12, np.nan)
        put(f"{name}P{rows}", gain / whole)
        put(f"{name}N{rows}", loss / whole)
        put(f"{name}D{rows}", (gain - loss) / whole)


def _volumes(close: Float32, volume: Float32, put: Put) -> None:
    weighted = _finite(np.abs(close / _previous(close) - 1) * volume)
    both = zip(rolling_spread(volume, WINDOWS), rolling_spread(weighted, WINDOWS), strict=True)
    for (rows, spread), (_, weight) in both:
        last = _tail(volume, spread.mean) + TINY
        put(f"VMA{rows}", spread.known_mean / last)
        put(f"VSTD{rows}", spread.std / last)
        put(f"WVMA{rows}", weight.std / (weight.known_mean + 1e-12))
    _gains("VSUM", volume, put)
