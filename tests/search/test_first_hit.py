"""Tables and the plain loop agree: same exit bar and reason for every trade, same returns bit for bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Int64
from seawall.budget.heartbeat import silent
from seawall.search.bars import Bars
from seawall.search.config import BarsConfig, CostsConfig, GridConfig
from seawall.search.costs import Costs
from seawall.search.detail import Detail
from seawall.search.first_hit import build
from seawall.search.levels import ExitLevels
from seawall.search.ohlc import open_bars, write_bars
from seawall.search.reference import walk
from seawall.search.resolve import REASONS, resolve
from tests.search.worlds import GRID, SOME_COSTS, coarse_and_finer, plain, random_bars, random_entries

SHARED = Path(__file__).parents[3] / "shared" / "data"

EVERY_COST = SOME_COSTS.model_copy(
    update={"leverage": 40.0, "maintenance_margin": 0.01, "penetration_bps": 2.0, "take_profit_gap": "open"}
)


def assert_agree(
    bars: Bars, rows: Int64, sides: np.ndarray[tuple[int], np.dtype[np.int8]], grid: GridConfig, config: CostsConfig,
    *, step: int = 1, detail: Detail | None = None,
) -> set[str]:  # fmt: skip
    """Compare every trade of every ``step``-th combination; give the reasons that occurred."""
    levels, costs, lists = ExitLevels.of(grid), Costs.of(config), plain(bars)
    tables, seen = build(bars, rows, sides, levels, costs, 0, detail), set()

    def finer(row: int) -> list[tuple[float, float]]:
        if detail is None:
            return []
        inside = detail.inside(bars, row)
        return list(zip(detail.bars.high[inside].tolist(), detail.bars.low[inside].tolist(), strict=True))

    for number in range(0, levels.num_combinations, step):
        trades, exit_ = resolve(tables, levels, number, costs), levels.at(number)
        total = 0.0
        for i, (row, side) in enumerate(zip(rows.tolist(), sides.tolist(), strict=True)):
            judged = walk(lists, row, side, exit_, costs, finer)
            told = bool(trades.is_ambiguous[i]), bool(trades.is_resolved[i])
            assert told == (judged.is_ambiguous, judged.is_resolved), (number, i, exit_)
            found = (int(trades.bars_held[i]), REASONS[trades.reason[i]])
            assert found == (judged.bars_held, judged.reason), (number, i, exit_)
            seen |= {"still ambiguous"} if judged.is_ambiguous and detail is not None else set()
            seen |= {f"finer {judged.reason}"} if judged.is_resolved else set()
            assert trades.net[i] == judged.net
            assert trades.optimistic[i] == judged.optimistic
            total += judged.net
            seen.add(judged.reason)
        assert abs(trades.net.sum() - total) <= 1e-12 * len(rows)
    return seen


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.4]), st.booleans(), st.sampled_from([SOME_COSTS, EVERY_COST])
)
def test_tables_and_loop_agree_on_random_bars_with_gaps_and_missing_bars(
    seed: int, missing: float, ticks: bool, costs: CostsConfig
) -> None:
    bars = random_bars(seed, num_bars=160, missing=missing, ticks=ticks)
    rows, sides = random_entries(bars, seed, num_entries=12, max_holding=40)

    assert_agree(bars, rows, sides, GRID, costs, step=3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([SOME_COSTS, EVERY_COST]))
def test_tables_and_loop_agree_on_what_finer_bars_tell(seed: int, ticks: bool, costs: CostsConfig) -> None:
    coarse, finer = coarse_and_finer(seed, num_bars=120, factor=6, ticks=ticks)
    rows, sides = random_entries(coarse, seed, num_entries=12, max_holding=40)

    assert_agree(coarse, rows, sides, GRID, costs, step=3, detail=Detail.of(coarse, finer))


def test_finer_bars_tell_of_stops_and_of_take_profits_and_leave_some_open() -> None:
    coarse, finer = coarse_and_finer(1, num_bars=600, factor=6)
    rows, sides = random_entries(coarse, 1, num_entries=150, max_holding=40)

    seen = assert_agree(coarse, rows, sides, GRID, SOME_COSTS, step=11, detail=Detail.of(coarse, finer))

    assert seen >= {"finer tp", "finer stop", "finer trail", "still ambiguous"}


def test_without_a_doubt_finer_bars_change_nothing_and_with_one_they_stay_inside_the_bracket() -> None:
    coarse, finer = coarse_and_finer(2, num_bars=600, factor=6)
    rows, sides = random_entries(coarse, 2, num_entries=150, max_holding=40)
    levels, costs = ExitLevels.of(GRID), Costs.of(SOME_COSTS)
    without = build(coarse, rows, sides, levels, costs)
    given_them = build(coarse, rows, sides, levels, costs, 0, Detail.of(coarse, finer))
    num_better = 0
    for number in range(0, levels.num_combinations, 7):
        before, after = (resolve(tables, levels, number, costs) for tables in (without, given_them))
        sure = ~before.is_ambiguous
        assert np.array_equal(before.net[sure], after.net[sure])
        assert np.array_equal(before.is_ambiguous, after.is_ambiguous | after.is_resolved)
        assert np.all((after.net == before.net) | (after.net == before.optimistic))
        assert after.optimistic.sum() <= before.optimistic.sum()
        num_better += int((after.net > before.net).sum())
    assert num_better > 20


def test_every_reason_occurs_among_the_compared_trades() -> None:
    seen = set()
    for costs in (SOME_COSTS, EVERY_COST):
        bars = random_bars(5, num_bars=900, gaps=0.15, missing=0.1)
        rows, sides = random_entries(bars, 5, num_entries=120, max_holding=40)
        seen |= assert_agree(bars, rows, sides, GRID, costs, step=17)

    assert seen == set(REASONS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["forex_hourly.parquet", "crypto_hourly.csv.gz"])
def test_tables_and_loop_agree_on_real_hourly_bars(name: str, tmp_path: Path) -> None:
    if not (SHARED / name).is_file():
        pytest.skip(f"no {name} beside the checkout")
    time = "datetime" if name.startswith("forex") else "date"
    config = BarsConfig(entity="symbol", time=time, outside_range="widen")
    write_bars([SHARED / name], config, tmp_path, silent)
    bars = open_bars(tmp_path)
    rows, sides = random_entries(bars, 3, num_entries=150, max_holding=120)

    seen = assert_agree(bars, rows, sides, GRID.model_copy(update={"holding_periods": (4, 24, 120)}), EVERY_COST)

    assert {"time_gap", "stop_gap", "tp", "trail"} <= seen


def test_changing_bars_after_an_exit_changes_no_trade_that_ended_before() -> None:
    bars = random_bars(11, num_bars=300)
    rows, sides = random_entries(bars, 11, num_entries=60, max_holding=40)
    levels, costs = ExitLevels.of(GRID), Costs.of(EVERY_COST)
    before = build(bars, rows, sides, levels, costs)
    changed = 180
    rng = np.random.default_rng(0)
    scale = np.where(np.arange(bars.num_bars) % 300 >= changed, np.exp(rng.normal(0, 0.2, bars.num_bars)), 1.0)
    prices = {name: getattr(bars, name) * scale for name in ("open", "high", "low", "close")}
    after = build(replace(bars, **prices), rows, sides, levels, costs)

    num_same = 0
    for number in range(0, levels.num_combinations, 7):
        old, new = (resolve(tables, levels, number, costs) for tables in (before, after))
        ended = np.all(scale[rows[:, None] + np.arange(41)].cumsum(1) == np.arange(1, 42), axis=1)
        exits = rows + old.bars_held
        untouched = np.array([np.all(scale[r : e + 1] == 1.0) for r, e in zip(rows, exits, strict=True)])
        assert np.all(untouched[ended])
        for name in ("bars_held", "reason", "net", "optimistic"):
            assert np.array_equal(getattr(old, name)[untouched], getattr(new, name)[untouched])
        num_same += int(untouched.sum() - ended.sum())
    assert num_same > 100, "some trades ended before the change although their longest holding reached into it"
