"""Splits and dividends of the panel on held shares, against ledgers worked out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seawall.arrays import Float64
from tests.backtest.plain import Rules, play
from tests.backtest.test_weightings import rank_weights, sector_weights
from tests.backtest.world import LONG_SHORT, TOP_2, World, config_of, random_world

ONE = {**TOP_2, "k": 1, "rebalance_periods": 99}


def held(close: list[float], **changes: Any) -> World:  # noqa: ANN401 - fields of the world
    """One name, bought with all money at the open of date 1 and never traded again."""
    prices = np.array(close)[:, None]
    columns = {name: np.array(values, float)[:, None] for name, values in changes.items()}
    return World(prices, prices, np.ones_like(prices), **columns)  # type: ignore[arg-type]


def test_shares_multiply_by_the_split_then_the_dividend_is_paid_on_the_new_ones(tmp_path: Path) -> None:
    # 0.01 shares at 100; three for one: 0.03 shares at 40; 2.0 each pays 0.06; then they are worth 41.
    world = held([100, 100, 40, 41], splits=[1, 1, 3, 1], dividends=[0, 0, 2, 0])

    results = world.run(tmp_path, config_of(ONE))

    np.testing.assert_allclose(results.equity()["equity"], [1, 1, 0.03 * 40 + 0.06, 0.03 * 41 + 0.06], rtol=1e-15)
    assert results.statistics()["total_dividend"] == pytest.approx(0.06, abs=1e-15)


def test_a_factor_that_holds_split_and_dividend_changes_no_share_count_twice(tmp_path: Path) -> None:
    # The factor of a total-return series: 1/3 of the split times 40/42 of the dividend. Shares follow the split alone.
    factor = np.array([1, 1, 1 / 3 * 40 / 42, 1 / 3 * 40 / 42])
    plain = held([100, 100, 40, 41], splits=[1, 1, 3, 1], dividends=[0, 0, 2, 0])
    both = plain.but(adjustment=factor[:, None])

    one, two = plain.run(tmp_path / "one", config_of(ONE)), both.run(tmp_path / "two", config_of(ONE))

    pd.testing.assert_frame_equal(one.equity(), two.equity())
    pd.testing.assert_frame_equal(one.ledger(), two.ledger())


def test_without_splits_the_factor_makes_the_shares_and_the_dividend_is_per_new_share(tmp_path: Path) -> None:
    world = held([100, 100, 40, 41], adjustment=[1, 1, 1 / 3, 1 / 3], dividends=[0, 0, 2, 0])

    equity = world.run(tmp_path, config_of(ONE)).equity()["equity"]

    np.testing.assert_allclose(equity, [1, 1, 1.26, 1.29], rtol=1e-15)


def test_the_ledger_counts_the_shares_there_are_on_its_date(tmp_path: Path) -> None:
    # Two names in turn: 0.02 shares of A bought at 50 are 0.04 after the split, and all are sold at 30.
    close = np.array([[50.0, 10.0], [50.0, 10.0], [30.0, 10.0], [30.0, 10.0]])
    splits = np.array([[1.0, 1.0], [1.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    world = World(close, close, np.array([[2.0, 1.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]), splits=splits)

    ledger = world.run(tmp_path, config_of({**TOP_2, "k": 1})).ledger()

    first = ledger.head(3)
    assert list(first["entity"].astype(str)) == ["E000", "E000", "E001"]
    np.testing.assert_allclose(first["shares"], [0.02, -0.04, 0.12], rtol=1e-15)
    np.testing.assert_allclose(first["price"], [50, 30, 10], rtol=1e-15)
    np.testing.assert_allclose(first["notional"], [1.0, 1.2, 1.2], rtol=1e-15)


def test_a_split_on_a_date_without_a_price_still_counts(tmp_path: Path) -> None:
    world = held([100, 100, np.nan, 51], splits=[1, 1, 2, 1], dividends=[0, 0, 1, 0])

    equity = world.run(tmp_path, config_of(ONE)).equity()["equity"]

    np.testing.assert_allclose(equity, [1, 1, 1 + 0.02, 1.02 + 0.02], rtol=1e-15)


def test_who_is_short_pays_the_dividend_and_a_name_bought_that_date_gets_none(tmp_path: Path) -> None:
    close = np.full((3, 3), 10.0)
    paid = np.zeros((3, 3))
    paid[1] = 5.0
    paid[2] = [0.0, 0.0, 0.5]
    world = World(close, close, np.tile([3.0, 2.0, 1.0], (3, 1)), dividends=paid)

    results = world.run(tmp_path, config_of({**LONG_SHORT, "rebalance_periods": 9}))

    # 0.05 shares short since the open of date 1; date 1's dividend went to who held before.
    np.testing.assert_allclose(results.equity("ls")["equity"], [1, 1, 1 - 0.05 * 0.5], atol=1e-15)


def test_a_named_column_goes_before_the_dividends_of_the_panel(tmp_path: Path) -> None:
    world = held([10, 10, 10], dividends=[0, 0, 7], value=[0, 0, 1])

    results = world.run(tmp_path, config_of(ONE, dividend="value"))

    assert results.statistics()["total_dividend"] == pytest.approx(0.1)


def test_the_benchmark_receives_its_dividends_too(tmp_path: Path) -> None:
    world = held([100, 100, 49, 49], splits=[1, 1, 2, 1], dividends=[0, 0, 1, 0])

    results = world.run(tmp_path, config_of(ONE, benchmark={"kind": "entity", "entity": "E000"}))

    curve = results.equity()
    np.testing.assert_allclose(curve["benchmark_return"][2:], [2 * (49 + 1) / 100 - 1, 0.0], atol=1e-15)
    np.testing.assert_allclose(curve["period_return"][2:], curve["benchmark_return"][2:], atol=1e-15)


@pytest.mark.parametrize("slab_rows", [1, 50, 100_000])
def test_random_splits_and_dividends_equal_raw_shares_counted_one_by_one(tmp_path: Path, slab_rows: int) -> None:
    world, splits, dividends = eventful(7)
    strategy = {"name": "x", "kind": "rank_weighted", "side": "long_short", "rebalance_periods": 4}

    results = world.run(tmp_path, config_of(strategy), slab_rows=slab_rows)

    expected = counted(world, splits, dividends)
    np.testing.assert_allclose(results.equity("x")["equity"], expected, rtol=0, atol=1e-12)
    assert abs(results.statistics("x")["total_dividend"]) > 1e-4


def eventful(seed: int) -> tuple[World, Float64, Float64]:
    rng = np.random.default_rng(seed)
    world = random_world(seed, gaps=False)
    shape = world.close.shape
    splits = np.where(rng.random(shape) < 0.03, rng.choice([0.5, 2.0, 3.0, 1.1], shape), 1.0)
    dividends = np.where(rng.random(shape) < 0.05, rng.uniform(0.1, 1.0, shape), 0.0)
    # The world's own factors are wrong for these shares on purpose: splits go before them.
    return world.but(splits=splits, dividends=dividends), splits, dividends


def counted(world: World, splits: Float64, dividends: Float64) -> list[float]:
    """Equity from a dictionary of raw shares and cash; trades at opens, marks at closes, both unadjusted."""
    scores = pd.DataFrame(world.predictions.astype(np.float32).astype(float))
    shares, cash, curve = np.zeros(world.close.shape[1]), 1.0, []
    wanted: dict[int, float] = {}
    for date in range(len(world.close)):
        shares = shares * splits[date]
        cash += float((shares * dividends[date]).sum())
        if wanted:
            equity = cash + float((shares * world.open[date]).sum())
            target = np.array([wanted.get(name, 0.0) for name in range(len(shares))]) * equity / world.open[date]
            cash -= float(((target - shares) * world.open[date]).sum())
            shares = target
        curve.append(cash + float((shares * world.close[date]).sum()))
        wanted = {}
        if date % 4 == 0:
            wanted = rank_weights(scores.iloc[date], pd.Series(1.0, index=scores.columns))
    return curve


def test_neutral_within_a_column_follows_it_from_date_to_date(tmp_path: Path) -> None:
    world = random_world(9, gaps=False, num_entities=24)
    number = np.arange(24)
    sector = np.tile((number % 4).astype(float), (len(world.close), 1))
    strategy = {"name": "x", "kind": "quantile_long_short", "num_quantiles": 3, "rebalance_periods": 3}
    by_column = config_of({**strategy, "neutral_within": "value"})

    same = world.but(value=sector).run(tmp_path / "same", by_column)
    moving = world.but(value=(sector + (np.arange(len(sector)) > 40)[:, None] * (number > 11)) % 4)
    moved = moving.run(tmp_path / "moved", by_column)

    close, opened = world.frame(world.close / world.adjustment), world.frame(world.open / world.adjustment)
    scores = world.frame(world.predictions.astype(np.float32).astype(float))
    expected = play(opened, close, scores, close, sector_weights, Rules(long_only=False, every=3))
    np.testing.assert_allclose(same.equity("x")["equity"], expected, rtol=0, atol=1e-9)
    pd.testing.assert_frame_equal(same.equity("x")[:42], moved.equity("x")[:42])
    assert (same.equity("x")["equity"] != moved.equity("x")["equity"]).any()
