"""What a strategy may not know: scores shifted in time, dates added later, and values that cannot be right."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seawall.arrays import Float64
from tests.backtest.world import LONG_SHORT, TOP_2, Results, World, config_of, random_world

DROP = {"kind": "top_k_dropout", "name": "drop", "k": 3, "n_drop": 1, "gross_exposure": 0.9, "rebalance_periods": 1}
RANKS = {"kind": "rank_weighted", "name": "ranks", "side": "long_short", "rebalance_periods": 3}
EVERY = (TOP_2, LONG_SHORT, DROP, RANKS)
COSTS: dict[str, Any] = {"cost_bps": 10.0, "slippage_bps": 2.0, "borrow_bps_per_year": 100.0}


def knowing(delay: int, shift: int) -> World:
    """Scores that equal the return a decision of their date can still earn, told ``shift`` dates too early."""
    world = random_world(2, gaps=False, num_dates=150)
    adjusted = world.open / world.adjustment
    earned = np.full_like(adjusted, np.nan)
    earned[: -delay - 1] = adjusted[delay + 1 :] / adjusted[delay:-1] - 1.0
    return world.but(predictions=np.roll(earned, -shift, axis=0))


def final(folder: Path, world: World) -> float:
    return float(world.run(folder, config_of(TOP_2)).statistics()["total_return"])


def test_scores_shifted_by_one_date_are_worth_nothing_more(tmp_path: Path) -> None:
    # Perfect foresight of the period from the trade on earns a fortune only where it stands on the date it is about.
    aligned = final(tmp_path / "aligned", knowing(1, 0))
    early, late = (final(tmp_path / str(shift), knowing(1, shift)) for shift in (1, -1))

    assert aligned > 10.0
    assert abs(early) < 1.0
    assert abs(late) < 1.0


@pytest.mark.parametrize("strategy", EVERY, ids=lambda strategy: str(strategy["name"]))
def test_a_shift_of_all_scores_delays_every_decision_by_exactly_that(tmp_path: Path, strategy: dict[str, Any]) -> None:
    world = random_world(5, gaps=False)
    every_date = {**strategy, "rebalance_periods": 1}
    shifted = world.but(predictions=np.vstack([np.full((1, 9), np.nan), world.predictions[:-1]]))

    late = world.run(tmp_path / "late", config_of(every_date, delay_periods=2)).equity(strategy["name"])
    moved = shifted.run(tmp_path / "moved", config_of(every_date)).equity(strategy["name"])

    pd.testing.assert_frame_equal(late, moved)


def until(values: Float64, num_dates: int) -> Any:  # noqa: ANN401 - any array of the world
    return values[:num_dates] if values.size else values


def positions_before(results: Results, name: str, end: pd.Timestamp) -> pd.DataFrame:
    told = results.positions(name).astype({"entity": str})
    return told[told["time"] < end]


@pytest.mark.parametrize("strategy", EVERY, ids=lambda strategy: str(strategy["name"]))
def test_dates_added_later_change_no_earlier_row_of_ledger_or_curve(tmp_path: Path, strategy: dict[str, Any]) -> None:
    whole = random_world(3, num_dates=90)
    names = ("open", "close", "predictions", "adjustment", "present", "predicted")
    short = World(**{name: until(getattr(whole, name), 60) for name in names})

    before = short.run(tmp_path / "before", config_of(strategy, **COSTS))
    after = whole.run(tmp_path / "after", config_of(strategy, **COSTS))

    name = str(strategy["name"])
    curve = before.equity(name)
    pd.testing.assert_frame_equal(curve, after.equity(name).iloc[: len(curve)])
    ledger, later = before.ledger(name), after.ledger(name)
    earlier = later[later["time"] <= curve["time"].iloc[-1]].reset_index(drop=True)
    assert len(ledger) > 10
    assert len(later) > len(ledger)
    columns = [column for column in ledger if column != "entity"]
    pd.testing.assert_frame_equal(ledger[columns], earlier[columns])
    assert ledger["entity"].astype(str).tolist() == earlier["entity"].astype(str).tolist()
    # The last date of a run is told of whether it traded or not.
    held, then = (positions_before(results, name, curve["time"].iloc[-1]) for results in (before, after))
    assert len(held) > 10
    pd.testing.assert_frame_equal(held, then)


@pytest.mark.parametrize("bad", [-5.0, 0.0, np.inf, np.nan])
def test_a_negative_or_missing_price_is_no_price_and_nothing_trades_at_it(tmp_path: Path, bad: float) -> None:
    world = random_world(4, gaps=False)
    spoiled = world.open.copy()
    spoiled[20:30, :3] = bad

    results = world.but(open=spoiled).run(tmp_path, config_of(TOP_2))

    ledger = results.ledger()
    assert (ledger["price"] > 0).all()
    assert np.isfinite(results.equity()["equity"]).all()
    assert results.statistics()["num_rejected"] > 0


def test_scores_in_percent_trade_as_the_same_scores_in_fractions(tmp_path: Path) -> None:
    world = random_world(6)
    # A power of two keeps float32 exact, as any unit keeps the order.
    for strategy in (*EVERY, {**RANKS, "kind": "score_weighted"}):
        name = str(strategy["name"])
        one = world.run(tmp_path / "one", config_of(strategy)).equity(name)
        other = world.but(predictions=world.predictions * 128).run(tmp_path / "other", config_of(strategy)).equity(name)
        np.testing.assert_allclose(one["equity"], other["equity"], rtol=1e-12)


def test_an_entity_that_vanishes_while_held_is_marked_or_closed_as_declared(tmp_path: Path) -> None:
    close = np.full((40, 3), 10.0)
    present = np.ones((40, 3), bool)
    present[10:, 0] = False
    world = World(close, close, np.tile([3.0, 2.0, 1.0], (40, 1)), present=present)
    once = {**TOP_2, "k": 1, "rebalance_periods": 99}

    kept = world.run(tmp_path / "kept", config_of(once))
    closed = world.run(tmp_path / "closed", config_of(once, delisting={"stale_periods": 5, "loss_share": 0.4}))

    assert kept.equity()["equity"].iloc[-1] == 1.0
    assert kept.statistics()["num_stale_positions"] == 1
    np.testing.assert_allclose(closed.equity()["equity"][14:], 0.6)
    assert (closed.equity()["equity"][:14] == 1.0).all()
    assert closed.statistics()["num_delisted"] == 1
