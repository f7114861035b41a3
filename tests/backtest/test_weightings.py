"""Every kind of weighting on the real panel against a plain recomputation, and the rules of markets one by one."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seawall.datasets import pse_equities
from seawall.errors import ConfigError
from tests.backtest.plain import Rules, Weigh, play
from tests.backtest.world import LONG_SHORT, TOP_2, World, config_of, random_world

NUM_DATES, NUM_NAMES = 260, 60


@cache
def real_world() -> World:
    """One year of sixty Philippine shares, as they traded: suspensions, late listings, prices without a mark."""
    frame = pd.read_csv(pse_equities(), parse_dates=["date"])
    dates = np.sort(frame["date"].unique())[1500 : 1500 + NUM_DATES]
    frame = frame[frame["date"].isin(dates)]
    names = sorted(frame["symbol"].unique())[::3][:NUM_NAMES]
    wide = frame[frame["symbol"].isin(names)].pivot_table(
        index="date", columns="symbol", values=["open", "close", "value"]
    )
    wide = wide.reindex(dates)
    columns = [[(name, symbol) for symbol in names] for name in ("open", "close", "value")]
    opened, close, value = (wide.reindex(columns=pd.MultiIndex.from_tuples(c)).to_numpy() for c in columns)
    rng = np.random.default_rng(5)
    scores = rng.standard_normal(close.shape)
    scores[rng.random(close.shape) < 0.05] = np.nan
    return World(opened, close, scores, present=~np.isnan(close), value=value)


def plain(weights: pd.Series) -> dict[int, float]:
    return {int(str(name)): float(weight) for name, weight in weights.items()}


def sides(raw: pd.Series, gross: float = 1.0) -> dict[int, float]:
    up, down = raw[raw > 0].sum(), -raw[raw < 0].sum()
    if not up or not down:
        return {}
    weights: pd.Series = raw.where(raw < 0, raw / up) if up else raw
    weights = weights.where(raw > 0, raw / down) * gross / 2
    return plain(weights[weights != 0])


def usable(scores: pd.Series, volatility: pd.Series) -> tuple[pd.Series, pd.Series]:
    known = volatility.notna()
    return scores[known], volatility[known]


def rank_weights(scores: pd.Series, volatility: pd.Series) -> dict[int, float]:
    scores, volatility = usable(scores, volatility)
    ranks = scores.rank()
    return sides((ranks - ranks.mean()) / volatility)


def score_weights(scores: pd.Series, volatility: pd.Series) -> dict[int, float]:
    scores, volatility = usable(scores, volatility)
    return sides((scores - scores.mean()) / volatility, 2.0)


def long_rank_weights(scores: pd.Series, _: pd.Series) -> dict[int, float]:
    ranks = scores.rank()
    return plain(ranks / ranks.sum() * 0.9)


def long_score_weights(scores: pd.Series, _: pd.Series) -> dict[int, float]:
    kept = scores[scores > 0]
    return plain((kept / kept.sum()).clip(upper=0.05))


def sector_weights(scores: pd.Series, _: pd.Series) -> dict[int, float]:
    """Quantiles of three within each of four sectors, the sector of a name being its number modulo four."""
    sector = pd.Series(scores.index % 4, index=scores.index)
    parts: dict[int, float] = {}
    size = 0
    for _, of_sector in scores.groupby(sector):
        side = len(of_sector) // 3
        ranked = of_sector.sort_values(ascending=False, kind="stable").index
        if side:
            parts |= {n: len(of_sector) / side for n in ranked[:side]} | {
                n: -len(of_sector) / side for n in ranked[-side:]
            }
            size += len(of_sector)
    return {name: raw / size / 2 for name, raw in parts.items()}


def scaled_top(scores: pd.Series, volatility: pd.Series) -> dict[int, float]:
    scores, volatility = usable(scores, volatility)
    if not len(scores):
        return {}
    best = scores.sort_values(ascending=False, kind="stable").index[:10]
    raw = 1 / volatility[best]
    return plain(raw / raw.sum() * len(best) / 10)


SCALING = {"half_life_periods": 20, "min_periods": 10}
KINDS: dict[str, tuple[dict[str, Any], Weigh | None, Rules]] = {
    "rank": ({"kind": "rank_weighted", "side": "long_short"}, rank_weights, Rules(long_only=False, borrow_bps=400)),
    "score": (
        {"kind": "score_weighted", "side": "long_short", "gross_exposure": 2.0, "volatility_scaling": SCALING},
        score_weights,
        Rules(long_only=False, half_life=20, min_periods=10, borrow_bps=400, every=5),
    ),
    "long_rank": (
        {"kind": "rank_weighted", "side": "long_only", "gross_exposure": 0.9, "max_turnover": 0.2},
        long_rank_weights,
        Rules(every=5, max_turnover=0.2),
    ),
    "long_score": (
        {"kind": "score_weighted", "side": "long_only", "max_weight": 0.05},
        long_score_weights,
        Rules(every=5, max_share=0.1),
    ),
    "scaled": (
        {"kind": "top_k", "k": 10, "volatility_scaling": SCALING},
        scaled_top,
        Rules(every=2, half_life=20, min_periods=10, limit=0.05),
    ),
    "sector": (
        {"kind": "quantile_long_short", "num_quantiles": 3, "neutral_within": "sector"},
        sector_weights,
        Rules(long_only=False, every=3, borrow_bps=50, stale=8, loss=0.3),
    ),
    "dropout": ({"kind": "top_k_dropout", "k": 10, "n_drop": 2, "gross_exposure": 0.95}, None, Rules(limit=0.05)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_weighting_equals_a_plain_recomputation_on_the_real_panel(tmp_path: Path, kind: str) -> None:
    world, (strategy, weigh, rules) = real_world(), KINDS[kind]
    rules.buy_bps, rules.sell_bps, rules.slippage_bps, rules.minimum = 10.0, 35.0, 5.0, 2e-5
    if kind == "dropout":
        rules.dropout = (10, 2, 0.95)
    changes: dict[str, Any] = {
        "cost_bps": {"buy": 10, "sell": 35},
        "slippage_bps": 5,
        "minimum_fee": 2e-5,
        "borrow_bps_per_year": rules.borrow_bps,
    }
    if np.isfinite(rules.limit):
        changes["limit_move"] = rules.limit
    if np.isfinite(rules.max_share):
        changes["participation"] = {"column": "value", "unit": "money", "max_share": rules.max_share}
        changes["initial_equity"] = 1.0
    if rules.stale:
        changes["delisting"] = {"stale_periods": rules.stale, "loss_share": rules.loss}

    results = world.run(tmp_path, config_of({**strategy, "name": "x", "rebalance_periods": rules.every}, **changes))

    opened, close = world.frame(world.open), world.frame(world.close)
    scores = world.frame(world.predictions.astype(np.float32).astype(np.float64))
    expected = play(opened, close, scores, world.frame(world.value), weigh, rules)
    np.testing.assert_allclose(results.equity("x")["equity"], expected, rtol=0, atol=1e-9)
    assert expected.std() > 0.005
    statistics = results.statistics("x")
    assert statistics["num_trades"] > 200
    if rules.stale:
        assert statistics["num_delisted"] > 0
    if np.isfinite(rules.limit):
        assert statistics["num_limited"] > 0


def test_a_market_rule_holds_for_the_names_it_fits_and_the_first_that_fits_wins(tmp_path: Path) -> None:
    world = random_world(3, gaps=False)
    rules = [{"entities": "E00[0-3]", "cost_bps": 0}, {"attribute": "sector", "equals": "S1", "cost_bps": 100}]

    ledger = world.run(tmp_path, config_of(LONG_SHORT, cost_bps=10.0, markets=rules)).ledger("ls")

    number = ledger["entity"].astype(str).str[1:].astype(int)
    rate = np.where(number < 4, 0.0, np.where(number % 4 == 1, 100.0, 10.0))
    np.testing.assert_allclose(ledger["cost"], ledger["notional"] * rate / 1e4, rtol=1e-12)
    assert set(rate) == {0.0, 10.0, 100.0}


@pytest.mark.parametrize("rule", [{"entities": "ZZ*"}, {"attribute": "sectr", "equals": "S1"}])
def test_a_market_rule_that_fits_nothing_is_refused(tmp_path: Path, rule: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"fits no entity|sector"):
        random_world(1).run(tmp_path, config_of(TOP_2, markets=[rule | {"cost_bps": 1}]))


def test_dividends_are_paid_to_who_held_over_the_date_before_and_by_who_was_short(tmp_path: Path) -> None:
    world = World(open=np.full((4, 3), 10.0), close=np.full((4, 3), 10.0), predictions=np.tile([3.0, 2.0, 1.0], (4, 1)))
    paid = np.zeros((4, 3))
    paid[2] = [0.5, 9.0, 0.2]
    world = world.but(value=paid)
    spread = {**LONG_SHORT, "rebalance_periods": 9}

    results = world.run(tmp_path, config_of(spread, dividend="value"))

    # Half of equity each: 0.05 shares long and 0.05 short since date 1.
    np.testing.assert_allclose(results.equity("ls")["equity"], [1, 1, 1 + 0.05 * 0.3, 1 + 0.05 * 0.3], atol=1e-15)
    assert results.statistics("ls")["total_dividend"] == pytest.approx(0.015)


def test_the_benchmark_is_a_name_or_all_predicted_names_and_beta_to_itself_is_one(tmp_path: Path) -> None:
    world = random_world(4, gaps=False, num_entities=4)
    adjusted = world.frame(world.close / world.adjustment).pct_change()

    equal = world.run(tmp_path / "equal", config_of(TOP_2, benchmark={"kind": "equal_weighted"}))
    own = world.run(tmp_path / "own", config_of(TOP_2, benchmark={"kind": "entity", "entity": "E002"}))

    np.testing.assert_allclose(equal.equity()["benchmark_return"][1:], adjusted.mean(axis=1)[1:], atol=1e-12)
    np.testing.assert_allclose(own.equity()["benchmark_return"][1:], adjusted[2][1:], atol=1e-12)
    curve = own.equity().iloc[1:]
    slope, level = np.polyfit(curve["benchmark_return"], curve["period_return"], 1)
    assert own.statistics()["beta"] == pytest.approx(slope, abs=1e-9)
    assert own.statistics()["alpha"] == pytest.approx(level * 252, abs=1e-9)
    with pytest.raises(ConfigError, match="no such entity"):
        world.run(tmp_path / "none", config_of(TOP_2, benchmark={"kind": "entity", "entity": "E9"}))


def test_weeks_and_months_begin_on_their_first_date_in_the_calendar(tmp_path: Path) -> None:
    world = random_world(6, gaps=False, num_dates=90)
    days = pd.date_range("2020-01-01", periods=90)
    for rebalance, label in (("weekly", days.isocalendar().week), ("monthly", days.month)):
        strategy = {key: value for key, value in TOP_2.items() if key != "rebalance_periods"} | {"rebalance": rebalance}

        ledger = world.run(tmp_path / rebalance, config_of(strategy)).ledger()

        firsts = days[np.concatenate([[True], np.diff(np.asarray(label)) != 0])]
        assert set(ledger["decision_time"].dt.tz_localize(None)) <= set(firsts)
        assert ledger["decision_time"].nunique() >= len(firsts) - 1


def test_years_and_months_chain_to_the_total_return_and_qlib_sums_them(tmp_path: Path) -> None:
    world = random_world(8, num_dates=420)

    results = world.run(tmp_path, config_of(TOP_2, cost_bps=10.0, convention="qlib"))

    statistics = json.loads((results.folder / "top" / "statistics.json").read_text())
    for parts, num in ((statistics["years"], 2), (statistics["months"], 14)):
        assert len(parts) == num
        total = np.prod([1 + part["return"] for part in parts]) - 1
        assert total == pytest.approx(statistics["total_return"], abs=1e-12)
    curve = results.equity().iloc[1:]
    net = curve["gross_return"] - curve["cost"]
    risk = statistics["qlib"]["return_with_cost"]
    assert risk["annualized_return"] == pytest.approx(net.mean() * 252, abs=1e-12)
    assert risk["information_ratio"] == pytest.approx(net.mean() / net.std() * np.sqrt(252), abs=1e-12)
    assert risk["max_drawdown"] == pytest.approx((net.cumsum() - net.cumsum().cummax()).min(), abs=1e-12)
    low, high = statistics["bands"]["mean_return"]
    assert low < net.mean() * 252 < high


def test_selling_short_without_a_word_on_borrowing_is_refused() -> None:
    with pytest.raises(ValueError, match="write what borrowing costs"):
        config_of(LONG_SHORT, borrow_bps_per_year=None)


@pytest.mark.parametrize("kind", KINDS)
def test_later_prices_and_later_scores_change_nothing_before_them(tmp_path: Path, kind: str) -> None:
    strategy = {**KINDS[kind][0], "name": "x", "rebalance_periods": 2}
    real = real_world()
    world = World(
        real.open[:90], real.close[:90], real.predictions[:90], present=real.present[:90], value=real.value[:90]
    )
    cut = 60
    rng = np.random.default_rng(0)
    noise = np.where(np.arange(90)[:, None] >= cut, rng.uniform(0.5, 2.0, world.close.shape), 1.0)
    other = world.but(
        open=world.open * noise, close=world.close * noise, predictions=world.predictions * (3 - 2 * noise)
    )

    one, two = (w.run(tmp_path / str(n), config_of(strategy)) for n, w in enumerate((world, other)))

    before = one.equity("x")[:cut]
    pd.testing.assert_frame_equal(before, two.equity("x")[:cut])
    assert not before["equity"].equals(one.equity("x")["equity"][cut - 10 : cut + 10])
    changed = (one.equity("x")["equity"] - two.equity("x")["equity"]).abs()
    assert changed[cut:].max() > 1e-6
