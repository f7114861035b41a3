"""The whole stage against an outside judge, and what must never change."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from tests.backtest.judge import judge
from tests.backtest.world import LONG_SHORT, TOP_2, World, config_of, random_world


def judged(world: World, rules: dict[str, Any]) -> pd.Series:
    adjustment = world.frame(world.adjustment)
    predictions = world.frame(np.where(world.predicted, world.predictions.astype(np.float32), np.nan))
    return judge(world.frame(world.open) / adjustment, world.frame(world.close) / adjustment, predictions, **rules)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("delay", "every"), [(1, 1), (2, 5), (3, 2)])
@pytest.mark.parametrize("costs", [(0.0, 0.0, 0.0), (20.0, 5.0, 0.0004)])
def test_equity_equals_a_plain_pandas_recomputation(
    tmp_path: Path, seed: int, delay: int, every: int, costs: tuple[float, float, float]
) -> None:
    world = random_world(seed)
    fee, slippage, minimum = costs
    config = config_of(
        {**TOP_2, "rebalance_periods": every},
        {**LONG_SHORT, "rebalance_periods": every},
        delay_periods=delay,
        cost_bps=fee,
        slippage_bps=slippage,
        minimum_fee=minimum,
    )

    results = world.run(tmp_path, config)

    rules: dict[str, Any] = {
        "delay": delay,
        "every": every,
        "fee": fee / 1e4,
        "slippage": slippage / 1e4,
        "minimum": minimum,
    }
    top, long_short = judged(world, rules | {"k": 2}), judged(world, rules | {"quantiles": 3})
    np.testing.assert_allclose(results.equity("top")["equity"], top, rtol=0, atol=1e-9)
    np.testing.assert_allclose(results.equity("ls")["equity"], long_short, rtol=0, atol=1e-9)
    assert results.statistics("top")["num_rejected"] > 0
    assert top.std() > 0.01


def test_a_tiny_example_by_hand(tmp_path: Path) -> None:
    # Decide on date 0, buy 0.5 / 10 and 0.5 / 20 shares at the open of date 1, mark at 11 and 20, then at 12 and 10.
    world = World(
        open=np.array([[9.0, 9.0, 9.0], [10.0, 20.0, 5.0], [11.0, 20.0, 5.0]]),
        close=np.array([[9.0, 9.0, 9.0], [11.0, 20.0, 5.0], [12.0, 10.0, 5.0]]),
        predictions=np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]),
    )

    results = world.run(tmp_path, config_of({**TOP_2, "rebalance_periods": 9}))

    equity, ledger = results.equity(), results.ledger()
    np.testing.assert_allclose(equity["equity"], [1.0, 1.05, 0.85], atol=1e-15)
    np.testing.assert_allclose(equity["period_return"], [0.0, 0.05, 0.85 / 1.05 - 1], atol=1e-15)
    np.testing.assert_allclose(equity["turnover"], [0.0, 1.0, 0.0])
    np.testing.assert_allclose(equity["long_exposure"], [0.0, 1.0, 1.0])
    assert equity["num_positions"].tolist() == [0, 2, 2]
    assert ledger["entity"].tolist() == ["E000", "E001"]
    assert ledger["shares"].tolist() == [0.05, 0.025]
    assert ledger["price"].tolist() == [10.0, 20.0]
    assert ledger["notional"].tolist() == [0.5, 0.5]
    assert [str(t.date()) for t in ledger["decision_time"]] == ["2020-01-01"] * 2
    assert [str(t.date()) for t in ledger["time"]] == ["2020-01-02"] * 2
    statistics = results.statistics()
    assert statistics["total_return"] == pytest.approx(-0.15)
    assert statistics["annual_return"] == pytest.approx(0.85**126 - 1)
    assert statistics["max_drawdown"] == pytest.approx(0.85 / 1.05 - 1)
    assert (statistics["max_drawdown_start"], statistics["max_drawdown_end"]) == ("2020-01-02", "2020-01-03")
    assert statistics["hit_rate"] == 0.5


@pytest.mark.parametrize("what", ["open", "close", "predictions", "adjustment"])
def test_later_values_change_nothing_earlier(tmp_path: Path, what: str) -> None:
    world, date = random_world(5), 40
    config = config_of(TOP_2, LONG_SHORT, cost_bps=10.0, delay_periods=2)
    before = world.run(tmp_path / "a", config)
    values = getattr(world, what).copy()
    # A trade of date 40 fills at its open; its close, and predictions of dates after 40, come later.
    first = date if what == "close" else date + 1
    values[first:] = np.random.default_rng(9).uniform(1, 99, values[first:].shape)

    after = world.but(**{what: values}).run(tmp_path / "b", config)

    for name in ("top", "ls"):
        pd.testing.assert_frame_equal(before.equity(name)[:first], after.equity(name)[:first])
        last = before.equity(name)["time"][date]
        old, new = (ledger[ledger["time"] <= last] for ledger in (before.ledger(name), after.ledger(name)))
        assert len(old) > 50
        pd.testing.assert_frame_equal(old, new)
        assert not before.equity(name).equals(after.equity(name))


def test_constant_prices_without_costs_leave_equity_exactly_one(tmp_path: Path) -> None:
    world = random_world(3)
    flat = np.full_like(world.close, 33.3)

    results = world.but(open=flat, close=flat, adjustment=np.ones_like(flat)).run(
        tmp_path, config_of(TOP_2, LONG_SHORT)
    )

    for name in ("top", "ls"):
        assert (results.equity(name)["equity"] == 1.0).all()
        assert results.statistics(name)["sharpe"] is None
        assert results.statistics(name)["max_drawdown"] == 0.0
        assert results.statistics(name)["max_drawdown_start"] is None
        assert results.statistics(name)["num_trades"] > 50


def test_cash_and_positions_rebuilt_from_the_ledger_make_the_equity(tmp_path: Path) -> None:
    world = random_world(4)
    costs = {"cost_bps": 30.0, "slippage_bps": 10.0, "minimum_fee": 5.0, "initial_equity": 1e5}
    config = config_of(TOP_2, LONG_SHORT, **costs, positions="every_date")

    results = world.run(tmp_path, config)

    adjustment = world.frame(world.adjustment)
    opened, close = (world.frame(values) / adjustment for values in (world.open, world.close))
    mark = close.where(close > 0).fillna(opened.where(opened > 0)).ffill()
    for name in ("top", "ls"):
        ledger, equity = results.ledger(name), results.equity(name)
        ledger["date"] = (ledger["time"] - equity["time"][0]).dt.days
        ledger["number"] = ledger["entity"].str[1:].astype(int)
        ledger["units"] = ledger["shares"] * world.adjustment[ledger["date"], ledger["number"]]
        ledger["cash"] = -ledger["shares"] * ledger["price"] - ledger["cost"]
        units = ledger.pivot_table(index="date", columns="number", values="units", aggfunc="sum")
        units = units.reindex(index=range(len(equity)), columns=range(9), fill_value=0).fillna(0).cumsum()
        cash = ledger.groupby("date")["cash"].sum().reindex(range(len(equity)), fill_value=0).cumsum() + 1e5
        np.testing.assert_allclose((cash + (units * mark).sum(axis=1)) / 1e5, equity["equity"], rtol=0, atol=1e-11)
        np.testing.assert_allclose(ledger["notional"], (ledger["shares"] * ledger["price"]).abs(), rtol=1e-14)
        np.testing.assert_allclose(
            ledger["cost"], (ledger["notional"] * 0.003).clip(lower=5) + ledger["notional"] * 0.001
        )
        assert results.statistics(name)["total_cost"] == pytest.approx(ledger["cost"].sum() / 1e5, rel=1e-12)
        if name == "top":
            assert cash.min() >= 0
        held = results.positions(name)
        held["date"] = (held["time"] - equity["time"][0]).dt.days
        held["number"] = held["entity"].str[1:].astype(int)
        assert held[["date", "number"]].apply(tuple, axis=1).is_monotonic_increasing
        np.testing.assert_array_equal(
            held.groupby("date").size().reindex(equity.index, fill_value=0), equity["num_positions"]
        )
        wide = held.pivot_table(index="date", columns="number", values="value").reindex_like(units).fillna(0)
        np.testing.assert_allclose(wide, (units * mark).where(units.abs() > 1e-9, 0).fillna(0), rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(held["value"], held["shares"] * held["price"], rtol=1e-12)
        weights = held.groupby("date")["weight"].sum().reindex(equity.index, fill_value=0)
        np.testing.assert_allclose(weights, equity["long_exposure"] - equity["short_exposure"], rtol=0, atol=1e-12)


def test_positions_are_told_of_dates_that_traded_and_of_the_last(tmp_path: Path) -> None:
    world, rarely = random_world(5), {**TOP_2, "rebalance_periods": 7}
    all_of, some = (
        world.run(tmp_path / kind, config_of(rarely, positions=kind)) for kind in ("every_date", "trade_dates")
    )

    last = all_of.equity()["time"].iloc[-1]
    traded = set(some.ledger()["time"]) | {last}
    whole = all_of.positions()
    assert len(traded) < 15 < whole["time"].nunique()
    pd.testing.assert_frame_equal(some.positions(), whole[whole["time"].isin(traded)].reset_index(drop=True))


def test_period_return_is_gross_return_minus_cost_to_rounding(tmp_path: Path) -> None:
    config = config_of(TOP_2, LONG_SHORT, cost_bps=30.0, slippage_bps=10.0)

    results = random_world(6).run(tmp_path, config)

    for name in ("top", "ls"):
        equity = results.equity(name)
        np.testing.assert_allclose(equity["period_return"], equity["gross_return"] - equity["cost"], rtol=0, atol=1e-12)
        np.testing.assert_allclose((1 + equity["period_return"]).cumprod(), equity["equity"], rtol=1e-12)
        assert (equity["cost"] > 0).sum() > 50


def test_the_same_equity_comes_out_whatever_the_slab(tmp_path: Path) -> None:
    world, config = random_world(7), config_of(TOP_2, LONG_SHORT, cost_bps=7.0)

    folders = [world.run(tmp_path / str(rows), config, slab_rows=rows).folder for rows in (1, 50, 100_000)]

    files = sorted(path.relative_to(folders[0]) for path in folders[0].rglob("*.*"))
    assert len(files) == 8
    for path in files:
        assert len({(folder / path).read_bytes() for folder in folders}) == 1


def test_more_cost_never_earns_more(tmp_path: Path) -> None:
    world = random_world(8)

    ends = [
        [
            world.run(tmp_path / f"{bps}", config_of(TOP_2, LONG_SHORT, cost_bps=bps)).statistics(n)["total_return"]
            for n in ("top", "ls")
        ]
        for bps in (0.0, 5.0, 20.0, 80.0)
    ]

    assert (np.diff(ends, axis=0) < 0).all()


def test_scale_breaks_make_no_profit(tmp_path: Path) -> None:
    # Entity 0 is quoted ten times higher from date 5, entity 1 splits two for one; nothing else ever moves.
    adjustment = np.ones((10, 3))
    adjustment[5:, 0], adjustment[5:, 1] = 10.0, 0.5
    price = 64.0 * adjustment
    world = World(price, price, np.tile([3.0, 2.0, 1.0], (10, 1)), adjustment)

    hold = {**TOP_2, "rebalance_periods": 4}
    results = world.but(predictions=np.tile([[3.0, 2.0, 1.0]] * 8 + [[1.0, 2.0, 3.0]] * 2, 1)).run(
        tmp_path, config_of(hold, LONG_SHORT | {"rebalance_periods": 8})
    )

    assert (results.equity("top")["equity"] == 1.0).all()
    assert (results.equity("ls")["equity"] == 1.0).all()
    ledger = results.ledger("top")
    # 0.5 / 64 of a share became a tenth of it, at ten times the price.
    closing = ledger[ledger["shares"] < 0]
    assert closing["entity"].tolist() == ["E000"]
    assert closing["shares"].tolist() == [-0.05 / 64]
    assert closing["price"].tolist() == [640.0]


def test_an_untradable_name_keeps_its_position_and_other_weights_stay(tmp_path: Path) -> None:
    # Held 0 and 1; on date 2 the wish is 1 and 2, but 0 has no row and cannot be sold: 2 gets only the cash there is.
    price = np.full((4, 3), 10.0)
    predictions = np.array([[2.0, 2.0, 1.0], [0.0, 2.0, 3.0], [0.0, 2.0, 3.0], [0.0, 2.0, 3.0]])
    present = np.ones((4, 3), bool)
    present[2, 0] = False
    world = World(price, price, predictions, present=present)

    results = world.run(tmp_path / "sell", config_of(TOP_2))
    ledger = results.ledger()
    assert ledger["time"].dt.day.tolist() == [2, 2, 4, 4]
    assert ledger["entity"].tolist() == ["E000", "E001", "E000", "E002"]
    assert results.statistics()["num_rejected"] == 1

    # Now 2 has no open price on date 2: it is not bought, and 1 is not bought in its place.
    opened = price.copy()
    opened[2, 2] = 0.0
    results = World(opened, price, predictions).run(tmp_path / "buy", config_of({**TOP_2, "rebalance_periods": 1}))
    assert results.equity()["long_exposure"].tolist() == [0.0, 1.0, 0.5, 1.0]


def test_the_delay_is_counted_in_calendar_dates(tmp_path: Path) -> None:
    world = random_world(11, gaps=False)

    for delay in (1, 4):
        ledger = world.run(tmp_path / str(delay), config_of(TOP_2, delay_periods=delay)).ledger()
        assert ((ledger["time"] - ledger["decision_time"]).dt.days == delay).all()


def test_decisions_that_cannot_trade_before_the_end_are_dropped_and_counted(tmp_path: Path) -> None:
    world = random_world(12, num_dates=20, gaps=False)

    statistics = world.run(tmp_path, config_of({**TOP_2, "rebalance_periods": 3}, delay_periods=4)).statistics()

    assert (statistics["num_decisions"], statistics["num_decisions_dropped"]) == (6, 1)


def test_the_curve_runs_from_the_first_prediction_to_the_last_and_rebalances_from_the_first(tmp_path: Path) -> None:
    world = random_world(13, num_dates=30, gaps=False)
    predicted = np.zeros_like(world.present)
    predicted[7:25] = True
    predicted[15] = False

    results = world.but(predicted=predicted).run(tmp_path, config_of({**TOP_2, "rebalance_periods": 4}))

    equity, ledger = results.equity(), results.ledger()
    assert (equity["time"].dt.day.iloc[0], len(equity)) == (8, 18)
    assert sorted(set((ledger["decision_time"] - equity["time"][0]).dt.days)) == [0, 4, 12, 16]
    assert results.statistics()["num_decisions_skipped"] == 1


def test_a_delisted_name_keeps_its_last_mark_and_is_counted(tmp_path: Path) -> None:
    price = np.full((40, 2), 10.0)
    price[3] = 12.0
    present = np.ones((40, 2), bool)
    present[4:, 0] = False
    world = World(price, price, np.tile([2.0, 1.0], (40, 1)), present=present)

    results = world.run(tmp_path, config_of({**TOP_2, "k": 1}))

    equity = results.equity()
    assert equity["equity"].iloc[3] == pytest.approx(1.2)
    # From date 5 on the wish is all in entity 1, but nothing is left to buy it with.
    np.testing.assert_allclose(equity["equity"].iloc[4:], 1.2)
    assert results.statistics()["num_stale_positions"] == 1
    assert results.statistics()["num_rejected"] == 40 - 4


def test_ties_go_to_the_first_entities(tmp_path: Path) -> None:
    world = random_world(14, gaps=False)

    results = world.but(predictions=np.zeros_like(world.close)).run(tmp_path, config_of(TOP_2, LONG_SHORT))

    assert set(results.ledger("top")["entity"]) == {"E000", "E001"}
    first = results.ledger("ls").head(6)
    assert first[first["shares"] < 0]["entity"].tolist() == ["E006", "E007", "E008"]


def test_an_empty_table_gives_empty_files_and_undefined_statistics(tmp_path: Path) -> None:
    world = random_world(15)

    results = world.but(predicted=np.zeros_like(world.present)).run(tmp_path, config_of(TOP_2))

    assert (len(results.equity()), len(results.ledger())) == (0, 0)
    assert results.statistics()["total_return"] is None
    assert results.statistics()["max_drawdown"] is None
    assert results.summary["num_predictions"] == 0


def test_a_single_date_gives_one_row_and_no_trade(tmp_path: Path) -> None:
    world = random_world(16)
    predicted = np.zeros_like(world.present)
    predicted[30] = world.present[30]

    results = world.but(predicted=predicted).run(tmp_path, config_of(TOP_2))

    assert results.equity()["equity"].tolist() == [1.0]
    assert results.statistics()["num_decisions_dropped"] == 1
    assert results.statistics()["total_return"] == 0.0
    assert results.statistics()["annual_return"] is None


def test_a_long_only_portfolio_never_borrows_and_pays_all_costs(tmp_path: Path) -> None:
    world = random_world(17, gaps=False)

    equity = world.run(tmp_path, config_of(TOP_2, cost_bps=100.0)).equity()

    assert (equity["long_exposure"] <= 1.0).all()
    assert equity["long_exposure"].iloc[1:].min() > 0.995


def test_a_ruined_strategy_stops_trading_and_says_so(tmp_path: Path) -> None:
    # Short entity 1, which rises fivefold on date 2.
    price = np.full((6, 2), 10.0)
    price[2:, 1] = 50.0
    world = World(price, price, np.tile([2.0, 1.0], (6, 1)))

    results = world.run(tmp_path, config_of({**LONG_SHORT, "num_quantiles": 2}))

    equity, statistics = results.equity("ls"), results.statistics("ls")
    assert (equity["equity"].iloc[2:] < 0).all()
    assert results.ledger("ls")["time"].dt.day.tolist() == [2, 2]
    assert equity["period_return"].isna().tolist() == [False, False, False, True, True, True]
    assert statistics["total_return"] < -1
    assert (statistics["annual_return"], statistics["sharpe"], statistics["hit_rate"]) == (None, None, None)


def test_integer_calendars_keep_their_integers(tmp_path: Path) -> None:
    world = random_world(18).but(steps=True)

    results = world.run(tmp_path, config_of(TOP_2))

    assert results.equity()["time"].tolist()[:3] == [0, 5, 10]
    assert isinstance(results.statistics()["max_drawdown_start"], int)


def test_statistics_echo_the_config_and_the_folder_holds_four_files(tmp_path: Path) -> None:
    results = random_world(19).run(tmp_path, config_of(TOP_2, cost_bps=12.5))

    assert sorted(p.name for p in (results.folder / "top").iterdir()) == [
        "equity.parquet",
        "ledger.parquet",
        "positions.parquet",
        "statistics.json",
    ]
    statistics = json.loads((results.folder / "top" / "statistics.json").read_text())
    assert statistics["config"]["cost_bps"] == 12.5
    assert statistics["config"]["strategy"]["k"] == 2
    assert statistics["compounding"] == "geometric"
    schema = pq.read_schema(results.folder / "top" / "equity.parquet")
    returns = ["equity", "period_return", "gross_return", "cost", "turnover"]
    assert schema.names == [
        "time",
        *returns,
        "long_exposure",
        "short_exposure",
        "benchmark_return",
        "participation",
        "num_positions",
    ]


def test_an_unknown_price_is_refused_with_the_nearest_name_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found 'clos'. Did you mean 'close'\?"):
        random_world(20).run(tmp_path, config_of(TOP_2, mark_price="clos"))

    assert not (tmp_path / "backtest").exists()


def test_a_failed_run_leaves_earlier_results_untouched(tmp_path: Path) -> None:
    world, config = random_world(21), config_of(TOP_2)
    ledger = world.run(tmp_path, config).folder / "top" / "ledger.parquet"
    before = ledger.read_bytes()

    def fail(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        if done == 30:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        world.run(tmp_path, config_of(TOP_2, cost_bps=50.0), beat=fail)

    assert ledger.read_bytes() == before
    parquet = ("equity.parquet", "ledger.parquet", "positions.parquet")
    assert sorted(p.name for p in ledger.parent.iterdir()) == [*parquet, "statistics.json"]
    assert Panel(tmp_path / "world.panel").shape.num_entities == 9
