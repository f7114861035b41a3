"""The well-known features of daily bars; formulas and sources are in the catalogue."""

import numpy as np

from seawall.arrays import AnyArray, Float64
from seawall.ingest.feature_sets.alpha158 import Put
from seawall.ingest.feature_sets.dense import Dense
from seawall.ingest.feature_sets.rolling import (
    exponential_mean,
    rolling_max,
    rolling_spread,
    rolling_sums,
)

EMA_ROWS = 256
"""An average over 26 rows has 3e-9 of its weight beyond, less than float32 can tell."""

SIGNAL_ROWS = 64


def compute(bars: Dense, put: Put) -> None:
    """Compute all features of a chunk, warnings about missing values off; a window must be full."""
    values = {name: column.astype(np.float64) for name, column in bars.columns.items()}
    for name in ("open", "high", "low", "close"):
        values[name] = np.where(values[name] > 0, values[name], np.nan)
    with np.errstate(all="ignore"):
        returns = np.log(values["close"] / _ago(values["close"], 1))
        _returns(values, returns, put)
        _bar_shapes(values, put)
        _oscillators(values["close"], put)
        _levels(values["close"], put)
        _volumes(values["close"], values["volume"], returns, put)


def _ago(values: Float64, rows: int) -> Float64:
    return np.concatenate([np.full(rows, np.nan), values[:-rows]])


def _tail(values: AnyArray, like: AnyArray) -> AnyArray:
    return values[len(values) - len(like) :]


def full_mean(values: Float64, rows: int) -> Float64:
    """Average each window; NaN where one of its values is missing."""
    ((_, spread),) = rolling_spread(values, (rows,))
    return np.where(spread.count == rows, spread.mean, np.nan)


def full_std(values: Float64, rows: int) -> Float64:
    """Compute the standard deviation (ddof 1) of each window; NaN where one of its values is missing."""
    ((_, spread),) = rolling_spread(values, (rows,))
    return np.where(spread.count == rows, spread.std, np.nan)


def _returns(values: dict[str, Float64], returns: Float64, put: Put) -> None:
    close = values["close"]
    put("ret_1", returns)
    for rows in (5, 10, 20, 60):
        put(f"ret_{rows}", np.log(close / _ago(close, rows)))
    put("mom_120_20", np.log(_ago(close, 20) / _ago(close, 120)))
    for rows in (5, 20, 60):
        put(f"vol_{rows}", full_std(returns, rows))


def _bar_shapes(values: dict[str, Float64], put: Put) -> None:
    opened, high, low, close = (values[name] for name in ("open", "high", "low", "close"))
    before, spread = _ago(close, 1), np.log(high / low)
    put("parkinson_20", np.sqrt(full_mean(spread**2, 20) / (4 * np.log(2))))
    put("gap", np.log(opened / before))
    put("range", spread)
    put("close_location", np.where(high > low, (close - low) / (high - low), np.nan))
    true_range = full_mean(np.maximum(high, before) - np.minimum(low, before), 14)
    put("atr_14", true_range / _tail(close, true_range))


def _oscillators(close: Float64, put: Put) -> None:
    move = close - _ago(close, 1)
    is_known = ~np.isnan(move)
    filled = np.where(is_known, move, 0.0)
    sums = (rolling_sums(part, (14,)) for part in (np.maximum(filled, 0.0), np.abs(filled), is_known * 1.0))
    (_, gain), (_, moved), (_, count) = (next(part) for part in sums)
    put("rsi_14", np.where((count == 14) & (moved > 0), gain / moved, np.nan))
    fast, slow = (exponential_mean(close, span, EMA_ROWS) for span in (12, 26))
    line = np.where(np.isnan(_tail(close, fast)), np.nan, fast - slow)
    signal = exponential_mean(line, 9, SIGNAL_ROWS)
    put("macd", line / _tail(close, line))
    put("macd_hist", (_tail(line, signal) - signal) / _tail(close, signal))


def _levels(close: Float64, put: Put) -> None:
    for rows in (20, 60):
        mean = full_mean(close, rows)
        put(f"ma_ratio_{rows}", _tail(close, mean) / mean - 1)
    mean, std = full_mean(close, 20), full_std(close, 20)
    put("bollinger_20", np.where(std > 0, (_tail(close, std) - mean) / std, np.nan))
    ((_, highest),) = rolling_max(close, (60,))
    ((_, count),) = rolling_sums((~np.isnan(close)).astype(np.float64), (60,))
    put("drawdown_60", np.where(count == 60, _tail(close, highest) / highest - 1, np.nan))


def _volumes(close: Float64, volume: Float64, returns: Float64, put: Put) -> None:
    volume = np.where(volume >= 0, volume, np.nan)
    logged = np.log1p(volume)
    mean, std = full_mean(logged, 20), full_std(logged, 20)
    put("volume_z_20", np.where(std > 0, (_tail(logged, mean) - mean) / std, np.nan))
    long = full_mean(volume, 20)
    put("volume_change_5", np.log((_tail(full_mean(volume, 5), long) + 1) / (long + 1)))
    traded = close * volume
    put("illiquidity_20", full_mean(np.where(traded > 0, 1e6 * np.abs(returns) / traded, np.nan), 20))
