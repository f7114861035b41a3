"""From one date's predictions to target weights: pure functions, one per kind of strategy."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import AnyArray, Float64, Int64
from seawall.backtest.config import QuantileLongShort, TopK


@dataclass(frozen=True, slots=True)
class Target:
    """What a strategy wants to hold: weights as fractions of equity; every entity not named has weight 0."""

    decision: int
    """Calendar index of the decision."""

    entities: Int64
    weights: Float64


def target_weights(
    strategy: TopK | QuantileLongShort, decision: int, entities: Int64, predictions: AnyArray
) -> Target | None:
    """Turn one date's predictions into target weights.

    Names without a finite prediction are not eligible. Eligible names are put in one total order: highest prediction
    first, ties in the order of entities. ``top_k`` takes the first k; ``quantile_long_short`` is long the first and
    short the last ``floor(n / num_quantiles)`` of the n eligible names.

    Parameters
    ----------
    entities
        int64 [n], ascending entity numbers.
    predictions
        [n], in any float type; NaN where there is none.

    Returns
    -------
    Target or None
        None where too few names are eligible (none for ``top_k``, fewer than ``num_quantiles`` for
        ``quantile_long_short``): then nothing is decided and positions stay.
    """
    eligible = np.isfinite(predictions)
    candidates = entities[eligible]
    ranked = candidates[np.argsort(-predictions[eligible], kind="stable")]
    if isinstance(strategy, TopK):
        return _top_k(strategy, decision, ranked)
    return _long_short(strategy, decision, ranked)


def _top_k(strategy: TopK, decision: int, ranked: Int64) -> Target | None:
    if not len(ranked):
        return None
    chosen = ranked[: strategy.k]
    return Target(decision, chosen, np.full(len(chosen), strategy.gross_exposure / strategy.k))


def _long_short(strategy: QuantileLongShort, decision: int, ranked: Int64) -> Target | None:
    num_side = len(ranked) // strategy.num_quantiles
    if not num_side:
        return None
    weights = np.full(2 * num_side, strategy.gross_exposure / 2 / num_side)
    weights[num_side:] *= -1.0
    return Target(decision, np.concatenate([ranked[:num_side], ranked[-num_side:]]), weights)
