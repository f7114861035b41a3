"""The rules of one portfolio, for all prices and targets Hypothesis can think of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.backtest.costs import Costs
from seawall.backtest.market import Market
from seawall.backtest.portfolio import Portfolio
from seawall.backtest.prices import DatePrices
from seawall.backtest.weights import Target
from tests.backtest.world import config_of

NUM = 4
PRICE = st.one_of(st.floats(0.01, 1000), st.just(np.nan))
DATE = st.tuples(
    st.lists(PRICE, min_size=NUM, max_size=NUM),
    st.lists(PRICE, min_size=NUM, max_size=NUM),
    st.one_of(st.none(), st.lists(st.integers(0, NUM - 1), min_size=1, max_size=NUM, unique=True)),
)


def advance(market: Market, trade: list[float], mark: list[float]) -> None:
    opened, marks = np.array(trade), np.array(mark)
    marks = np.where(np.isnan(marks), opened, marks)
    prices = DatePrices(market.date + 1, np.arange(NUM), opened, np.ones(NUM), opened, marks)
    market.advance(prices, np.arange(NUM))


@given(
    st.lists(DATE, min_size=1, max_size=12),
    st.booleans(),
    st.sampled_from([0.0, 10.0, 300.0]),
    st.sampled_from([0.0, 0.01]),
)
def test_cash_and_positions_always_make_the_equity(
    dates: list[tuple[list[float], list[float], list[int] | None]], long_only: bool, cost_bps: float, fee: float
) -> None:
    portfolio = Portfolio(NUM, config_of(cost_bps=cost_bps, minimum_fee=fee), long_only=long_only)
    market, cash, scale = Market(NUM), 1.0, 1.0
    for trade, mark, wanted in dates:
        advance(market, trade, mark)
        target = None
        if wanted is not None:
            signs = 1.0 if long_only else np.where(np.arange(len(wanted)) % 2, -1.0, 1.0)
            target = Target(market.date - 1, np.array(wanted), np.full(len(wanted), 1 / len(wanted)) * signs)
        result, done = portfolio.step(market, target)
        for trades in done:
            paid = float((trades.units * market.at_E[trades.entities]).sum())
            cash -= paid + float(trades.cost.sum())
            assert np.isfinite(market.at_E[trades.entities]).all()
        if target is None:
            assert not done
        held = portfolio.units_E != 0
        value = float((portfolio.units_E[held] * market.mark_E[held]).sum())
        scale = max(scale, result.long_value + result.short_value, abs(cash))
        assert cash + value == pytest.approx(result.equity, abs=1e-9 * scale)
        assert result.long_value - result.short_value == pytest.approx(value, abs=1e-9 * scale)
        if long_only:
            assert portfolio.units_E.min() >= 0.0
        if long_only and not fee:
            assert cash > -1e-9 * scale


def test_costs_are_the_larger_of_rate_and_minimum_plus_slippage() -> None:
    costs = Costs(config_of(cost_bps=10.0, slippage_bps=5.0, minimum_fee=2.0), 2)

    np.testing.assert_allclose(costs(np.arange(2), np.array([1000.0, -10_000.0])), [2.5, 15.0])


def test_buys_are_scaled_by_one_factor_to_the_cash_that_full_costs_leave() -> None:
    portfolio, market = Portfolio(NUM, config_of(cost_bps=100.0), long_only=True), Market(NUM)
    advance(market, [10.0] * NUM, [10.0] * NUM)

    result, _ = portfolio.step(market, Target(0, np.array([1, 2]), np.array([0.75, 0.25])))

    np.testing.assert_allclose(portfolio.units_E, [0, 0.99 * 0.075, 0.99 * 0.025, 0], rtol=1e-14)
    assert result.cost == pytest.approx(0.0099)
    assert result.turnover == pytest.approx(0.99)


def test_a_position_below_dust_is_left_alone_until_it_is_not_wanted() -> None:
    portfolio, market = Portfolio(NUM, config_of(), long_only=True), Market(NUM)
    advance(market, [10.0] * NUM, [10.0] * NUM)
    portfolio.step(market, Target(0, np.array([0, 1]), np.array([0.5, 0.5])))
    advance(market, [1e-13, 10.0, 10.0, 10.0], [1e-13, 10.0, 10.0, 10.0])

    _, kept = portfolio.step(market, Target(1, np.array([0, 1]), np.array([1e-14, 1.0])))
    advance(market, [1e-13, 10.0, 10.0, 10.0], [1e-13, 10.0, 10.0, 10.0])
    _, closed = portfolio.step(market, Target(1, np.array([1]), np.array([1.0])))

    assert (kept[0].entities.tolist(), closed[0].entities.tolist()) == ([], [0])
    assert portfolio.units_E[0] == 0.0


def test_wanting_what_is_held_costs_nothing() -> None:
    portfolio, market = Portfolio(NUM, config_of(), long_only=False), Market(NUM)
    wish = Target(0, np.array([0, 1, 2]), np.array([0.3, -0.3, 0.7]))
    advance(market, [3.3, 7.7, 1.1, 9.9], [3.3, 7.7, 1.1, 9.9])
    portfolio.step(market, wish)

    advance(market, [3.3, 7.7, 1.1, 9.9], [3.3, 7.7, 1.1, 9.9])
    _, again = portfolio.step(market, wish)

    assert len(again[0].entities) == 0


def test_equity_at_the_trade_uses_trade_prices_of_tradable_names_and_last_marks_of_others() -> None:
    portfolio, market = Portfolio(NUM, config_of(), long_only=False), Market(NUM)
    advance(market, [10.0] * NUM, [10.0] * NUM)
    portfolio.step(market, Target(0, np.array([0, 1]), np.array([0.5, 0.5])))
    # 0 opens at 12 and is tradable; 1 is not, its last mark is 10, and today's mark of 30 is not yet known.
    advance(market, [12.0, np.nan, 10.0, 10.0], [12.0, 30.0, 10.0, 10.0])

    result, trades = portfolio.step(market, Target(1, np.array([2]), np.array([-0.5])))

    assert len(trades) == 1
    at_trade = 0.05 * 12 + 0.05 * 10
    assert portfolio.units_E[2] == pytest.approx(-0.5 * at_trade / 10)
    assert portfolio.counts.num_rejected == 1
    assert result.equity == pytest.approx(at_trade + 0.05 * 20)
