"""Target weights of one date."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seawall.arrays import Float64
from seawall.backtest.config import QuantileLongShort, TopK
from seawall.backtest.weights import Target, target_weights

TOP_3 = TopK(name="top", k=3, rebalance_periods=1)
THIRDS = QuantileLongShort(name="ls", num_quantiles=3, rebalance_periods=1, gross_exposure=2.0)


def weights_of(strategy: TopK | QuantileLongShort, *predictions: float) -> dict[int, float]:
    target = target_weights(strategy, 0, np.arange(len(predictions)) * 10, np.array(predictions, np.float32))
    assert target is None or isinstance(target, Target)
    return {} if target is None else dict(zip(target.entities.tolist(), target.weights.tolist(), strict=True))


def test_top_k_weighs_the_highest_equally() -> None:
    assert weights_of(TOP_3, 1.0, 4.0, 2.0, 3.0) == {10: 1 / 3, 30: 1 / 3, 20: 1 / 3}


def test_top_k_leaves_the_rest_in_cash_where_fewer_names_are_eligible() -> None:
    assert weights_of(TOP_3, np.nan, 4.0, np.inf, 3.0) == {10: 1 / 3, 30: 1 / 3}


def test_long_short_holds_whole_quantiles_at_half_the_gross_exposure_each() -> None:
    assert weights_of(THIRDS, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0) == {60: 0.5, 50: 0.5, 10: -0.5, 0: -0.5}


def test_too_few_names_decide_nothing() -> None:
    assert target_weights(THIRDS, 0, np.arange(3), np.array([1.0, np.nan, 2.0])) is None
    assert target_weights(TOP_3, 0, np.arange(2), np.array([np.nan, np.nan])) is None
    assert target_weights(TOP_3, 0, np.empty(0, np.int64), np.empty(0)) is None


@given(arrays(np.float64, st.integers(1, 30), elements=st.sampled_from([-1.0, 0.0, 1.0, 2.0, np.nan])))
def test_every_chosen_name_beats_or_ties_every_other_and_ties_go_to_the_first(predictions: Float64) -> None:
    for strategy in (TOP_3, THIRDS):
        target = target_weights(strategy, 0, np.arange(len(predictions)), predictions)
        if not isinstance(target, Target):
            continue
        order = sorted(np.flatnonzero(~np.isnan(predictions)).tolist(), key=lambda i: (-predictions[i], i))
        check_sides(strategy, target, order)


def check_sides(strategy: TopK | QuantileLongShort, target: Target, order: list[int]) -> None:
    longs, shorts = target.entities[target.weights > 0].tolist(), target.entities[target.weights < 0].tolist()
    assert longs == order[: len(longs)]
    assert shorts == order[len(order) - len(shorts) :]
    if isinstance(strategy, QuantileLongShort):
        assert len(longs) == len(shorts) == len(order) // strategy.num_quantiles
        assert abs(target.weights.sum()) < 1e-12
    else:
        assert len(longs) == min(strategy.k, len(order))
        assert not shorts
