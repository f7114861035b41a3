"""From one date's predictions to target weights: pure functions, one per kind of strategy."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import AnyArray, Float64, Int64
from seawall.backtest.strategies import (
    AnyStrategy,
    QuantileLongShort,
    RankWeighted,
    ScoreWeighted,
    TopK,
    TopKDropout,
    is_long_only,
)
from seawall.metrics.ranks import average_ranks


@dataclass(frozen=True, slots=True)
class Target:
    """What a strategy wants to hold: weights as fractions of equity; every entity not named has weight 0."""

    decision: int
    """Calendar index of the decision."""

    entities: Int64
    weights: Float64


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a strategy wants to swap towards: eligible entities, best first. Weights depend on what is then held."""

    decision: int
    entities: Int64
    k: int
    n_drop: int
    cash_share: float


Decision = Target | Ranking


def target_weights(
    strategy: AnyStrategy,
    decision: int,
    entities: Int64,
    predictions: AnyArray,
    volatility: Float64 | None = None,
    groups: Int64 | None = None,
) -> Decision | None:
    """Turn one date's predictions into target weights.

    Names without a finite prediction are not eligible, nor those whose volatility is not known where it scales. They
    are put in one total order: highest prediction first, ties in the order of entities. Raw weights are then

    - ``top_k``: 1 for the first k; each weighs ``gross_exposure / k``;
    - ``quantile_long_short``: 1 for the first, -1 for the last ``floor(n / num_quantiles)`` of the n names;
    - ``rank_weighted``: average rank (1 for the lowest), less its mean where ``long_short``;
    - ``score_weighted``: prediction less its mean, or the positive predictions where ``long_only``;

    counted, ranked and averaged within each group where the strategy is neutral within groups. Raw weights are divided
    by volatility, then scaled: the long side sums to half of ``gross_exposure`` and so does the short side, or the
    whole to ``gross_exposure`` where long only. With groups, each group with names on both sides gets a part of both
    that is its share of the names of such groups. At last ``max_weight`` cuts.

    Parameters
    ----------
    entities
        int64 [n], ascending entity numbers.
    predictions
        [n], in any float type; NaN where there is none.
    volatility, groups
        float64 and int64 [n].

    Returns
    -------
    Target, Ranking or None
        None where too few names are eligible for a portfolio: then nothing is decided and positions stay.
    """
    eligible = np.isfinite(predictions)
    if volatility is not None:
        eligible &= np.isfinite(volatility)
    chosen = np.flatnonzero(eligible)
    chosen = chosen[np.argsort(-predictions[chosen], kind="stable")]
    names = entities[chosen]
    if not len(names):
        return None
    if isinstance(strategy, TopKDropout):
        return Ranking(decision, names, strategy.k, strategy.n_drop, strategy.gross_exposure)
    group = np.zeros(len(names), np.int64) if groups is None else np.unique(groups[chosen], return_inverse=True)[1]
    raw = _raw(strategy, predictions[chosen].astype(np.float64), group)
    if volatility is not None:
        raw = raw / volatility[chosen]
    weights = _long(strategy, raw) if is_long_only(strategy) else _neutral(raw, group, strategy.gross_exposure)
    if weights is None:
        return None
    if strategy.max_weight is not None:
        weights = np.clip(weights, -strategy.max_weight, strategy.max_weight)
    wanted = weights != 0
    return Target(decision, names[wanted], weights[wanted])


def _raw(strategy: TopK | QuantileLongShort | RankWeighted | ScoreWeighted, scores: Float64, group: Int64) -> Float64:
    """Weights before any scaling, of names in order from the best to the worst."""
    if isinstance(strategy, TopK):
        return (np.arange(len(scores)) < strategy.k).astype(np.float64)
    if isinstance(strategy, QuantileLongShort):
        place, size = _places(group)
        num_side = size // strategy.num_quantiles
        return (place < num_side).astype(np.float64) - (place >= size - num_side)
    if isinstance(strategy, RankWeighted):
        values = np.empty(len(scores))
        for number in range(int(group.max()) + 1):
            here = group == number
            values[here] = average_ranks(scores[here])
    else:
        values = scores
    if strategy.side == "long_only":
        return np.maximum(values, 0.0)
    means = np.bincount(group, weights=values) / np.bincount(group)
    centred: Float64 = values - means[group]
    # Equal scores have no spread; what rounding leaves of them must not be blown up to a portfolio.
    centred[np.abs(centred) <= 1e-12 * np.abs(values).max(initial=0.0)] = 0.0
    return centred


def _places(group: Int64) -> tuple[Int64, Int64]:
    """Place of each name within its group, in the order given, and the size of its group."""
    order = np.argsort(group, kind="stable")
    size = np.bincount(group)
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - np.repeat(np.cumsum(size) - size, size)
    return place, size[group]


def _long(strategy: TopK | QuantileLongShort | RankWeighted | ScoreWeighted, raw: Float64) -> Float64 | None:
    total = float(raw.sum())
    if total <= 0:
        return None
    if isinstance(strategy, TopK):
        num_chosen = int(np.count_nonzero(raw))
        return raw / (total / num_chosen) * (strategy.gross_exposure / strategy.k)
    return raw / total * strategy.gross_exposure


def _neutral(raw: Float64, group: Int64, gross_exposure: float) -> Float64 | None:
    """Scale both sides of each group to its share of half the exposure."""
    size = np.bincount(group)
    long, short = (np.bincount(group, weights=np.maximum(side, 0.0)) for side in (raw, -raw))
    size = np.where((long > 0) & (short > 0), size, 0)
    if not size.any():
        return None
    share = size / size.sum() * (gross_exposure / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        up, down = (np.where(size > 0, share / side, 0.0) for side in (long, short))
    return raw * np.where(raw > 0, up[group], down[group])
