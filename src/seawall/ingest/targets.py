"""Targets: what an entity's adjusted price earns from row t + delay to row t + delay + horizon, and its kin."""

from collections.abc import Mapping

import numpy as np

from seawall.arrays import Float64, Int64
from seawall.ingest.feature_sets.rolling import rolling_spread
from seawall.ingest.target_config import Target


def forward_return(
    adjusted: Float64, starts: Int64, *, horizon_periods: int, delay_periods: int, log: bool = False
) -> tuple[Float64, Int64]:
    """Compute a forward return and the row at which it is known.

    Rows are counted within the entity, so a suspension makes the target end late on the calendar; ``end`` says when,
    and the folds purge by it.

    Parameters
    ----------
    adjusted
        float64 [n], adjusted prices sorted by (entity, time); missing or non-positive prices make the target undefined.
    starts
        int64 [e + 1], first row of each entity and the end.
    log
        ``ln(sell / buy)`` in place of ``sell / buy - 1``.

    Returns
    -------
    returns : float64 [n]
        ``adjusted[t + delay + horizon] / adjusted[t + delay] - 1``; NaN where either is missing or zero.
    end : int64 [n]
        Row of the last price used; -1 where it does not exist.
    """
    n = len(adjusted)
    row = np.arange(n)
    end = target_ends(starts, delay_periods + horizon_periods)
    prices = np.where((adjusted > 0) & np.isfinite(adjusted), adjusted, np.nan)
    buy = prices[np.minimum(row + delay_periods, n - 1)]
    sell = prices[np.minimum(row + delay_periods + horizon_periods, n - 1)]
    with np.errstate(over="ignore", divide="ignore"):
        returns = np.log(sell) - np.log(buy) if log else sell / buy - 1.0
    return defined(returns, end), end


def compute_targets(
    targets: Mapping[str, Target], adjusted: Mapping[str, Float64], own: Mapping[str, Float64], starts: Int64
) -> tuple[Float64, Int64]:
    """Compute every target of a bucket, and the row at which each is known.

    Parameters
    ----------
    adjusted
        float64 [n] by price column.
    own
        float64 [n] by target, for those the source brings or that are SQL.

    Returns
    -------
    returns : float64 [n, K]
        NaN where undefined.
    ends : int64 [n, K]
        -1 where never known.
    """
    n = int(starts[-1])
    returns, ends = np.full((n, len(targets)), np.nan), np.full((n, len(targets)), -1)
    for place, (name, target) in enumerate(targets.items()):
        spec = target.forward_return
        if spec is None:
            ends[:, place] = target_ends(starts, target.end_periods)
            values = defined(own[name], ends[:, place])
        else:
            values, ends[:, place] = forward_return(
                adjusted[spec.column],
                starts,
                horizon_periods=spec.horizon_periods,
                delay_periods=spec.delay_periods,
                log=spec.log,
            )
        returns[:, place] = finish_target(target, values, adjusted.get(target.source), starts)
    return returns, ends


def target_ends(starts: Int64, periods: int) -> Int64:
    """Find the row ``periods`` rows on, of the same entity; -1 where it does not exist."""
    end = np.arange(starts[-1]) + periods
    return np.where(end < np.repeat(starts[1:], np.diff(starts)), end, -1)


def defined(values: Float64, ends: Int64) -> Float64:
    """Leave out what is never known, and what float32 cannot hold."""
    return np.where((ends >= 0) & (np.abs(values) < np.finfo(np.float32).max), values, np.nan)


def past_volatility(adjusted: Float64, starts: Int64, rows: int) -> Float64:
    """Compute the deviation (ddof 1) of the last ``rows`` one-row log returns, known at each row.

    NaN where one of them is missing; an entity's first returns do not reach into the entity before it.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logged = np.log(np.where(adjusted > 0, adjusted, np.nan))
    returns = np.append(np.full(rows, np.nan), np.diff(logged))
    returns[rows - 1 + starts[:-1]] = np.nan
    ((_, spread),) = rolling_spread(returns, (rows,))
    return np.where(spread.count == rows, spread.std, np.nan)


def finish_target(target: Target, values: Float64, adjusted: Float64 | None, starts: Int64) -> Float64:
    """Scale by past volatility and cut to the sign, as asked; what compares names of a date comes later."""
    if target.volatility_periods is not None and adjusted is not None:
        volatility = past_volatility(adjusted, starts, target.volatility_periods)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = values / (volatility * np.sqrt(target.declared.horizon_periods))
        values = np.where(np.abs(values) < np.finfo(np.float32).max, values, np.nan)
    return np.sign(values) if target.sign and not target.market_neutral else values
