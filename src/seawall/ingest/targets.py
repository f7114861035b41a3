"""Forward returns: what an entity's adjusted price earns from row t + delay to row t + delay + horizon."""

import numpy as np

from seawall.arrays import Float64, Int64


def forward_return(
    adjusted: Float64, starts: Int64, *, horizon_periods: int, delay_periods: int
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

    Returns
    -------
    returns : float64 [n]
        ``adjusted[t + delay + horizon] / adjusted[t + delay] - 1``; NaN where either is missing or zero.
    end : int64 [n]
        Row of the last price used; -1 where it does not exist.
    """
    n = len(adjusted)
    row = np.arange(n)
    entity_end = np.repeat(starts[1:], np.diff(starts))
    end = row + delay_periods + horizon_periods
    exists = end < entity_end
    prices = np.where((adjusted > 0) & np.isfinite(adjusted), adjusted, np.nan)
    buy = prices[np.minimum(row + delay_periods, n - 1)]
    sell = prices[np.minimum(end, n - 1)]
    with np.errstate(over="ignore"):
        returns = sell / buy - 1.0
    is_return = exists & (np.abs(returns) < np.finfo(np.float32).max)  # beyond it the training cast would be infinite
    return np.where(is_return, returns, np.nan), np.where(exists, end, -1)
