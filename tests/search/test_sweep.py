"""Sums by block and statistics equal those of single trades, however entries and combinations are cut."""

from pathlib import Path

import numpy as np
import pytest

from seawall.search.bars import Bars
from seawall.search.config import CostsConfig, GridConfig
from seawall.search.costs import Costs
from seawall.search.detail import Detail
from seawall.search.entry_columns import Entries
from seawall.search.evaluate import Evaluator, Part, Selection
from seawall.search.first_hit import build
from seawall.search.levels import ExitLevels
from seawall.search.opportunities import Opportunities
from seawall.search.resolve import resolve
from seawall.search.sweep import STATISTICS
from tests.search.worlds import GRID, SOME_COSTS, coarse_and_finer, random_bars, random_entries

LEVELS = ExitLevels.of(GRID)
COSTS = Costs.of(SOME_COSTS)
OPPORTUNITIES = Opportunities(0.004, 0.25)


def world(num_entries: int = 2600) -> tuple[Bars, Entries, Part]:
    bars = random_bars(3, num_bars=3000, num_entities=4)
    rows, sides = random_entries(bars, 3, num_entries=num_entries, max_holding=40)
    scores = np.random.default_rng(1).normal(size=(num_entries, 2))
    times = bars.time[rows]
    edges = np.linspace(times[0], times[-1] + 1, 33).astype(np.int64)
    return bars, Entries(rows, times, sides, scores), Part("search", 0, num_entries, edges)


def evaluator(folder: Path, bars: Bars, entries: Entries, **changes: object) -> Evaluator:
    folder.mkdir(exist_ok=True)
    options: dict[str, object] = {"checkpoint_seconds": 0.0, **changes}
    return Evaluator(bars, entries, COSTS, OPPORTUNITIES, 40, folder, "key", **options)  # type: ignore[arg-type]


def test_every_sum_equals_the_sum_over_single_trades(tmp_path: Path) -> None:
    bars, entries, part = world()
    selection = Selection((0.5, 0.5), -0.2)

    found = evaluator(tmp_path, bars, entries).evaluate(LEVELS, selection, part)

    taken = np.flatnonzero(selection.mask(entries.scores))
    tables = build(bars, entries.rows[taken], entries.sides[taken], LEVELS, COSTS)
    blocks = part.blocks(entries.times[taken])
    hurdle = OPPORTUNITIES.hurdle(tables)
    assert found.num_entries == len(taken)
    assert found.num_opportunities == np.isfinite(hurdle).sum()
    for number in range(0, LEVELS.num_combinations, 11):
        trades = resolve(tables, LEVELS, number, COSTS)
        wanted = np.bincount(blocks, trades.net, part.num_blocks)
        assert np.abs(found.blocks[number] - wanted).max() <= 1e-12 * len(taken)
        statistics = dict(zip(STATISTICS, found.statistics[number].tolist(), strict=True))
        assert statistics["wins"] == (trades.net > 0).sum()
        assert statistics["captured"] == (trades.net > hurdle).sum()
        assert statistics["ambiguous"] == trades.is_ambiguous.sum()
        assert statistics["squares"] == pytest.approx((trades.net**2).sum(), rel=1e-12)
        assert statistics["realised"] == pytest.approx(trades.net[np.isfinite(hurdle)].sum(), abs=1e-12 * len(taken))
        gain = trades.optimistic.sum() - trades.net.sum()
        assert statistics["optimistic_gain"] == pytest.approx(gain, abs=1e-12 * len(taken))


def test_sums_count_what_finer_bars_tell(tmp_path: Path) -> None:
    bars, finer = coarse_and_finer(3, num_bars=1500, factor=6)
    rows, sides = random_entries(bars, 3, num_entries=900, max_holding=40)
    entries = Entries(rows, bars.time[rows], sides, np.empty((len(rows), 0)))
    part = Part("search", 0, len(rows), np.linspace(0, 9000, 17).astype(np.int64))
    detail = Detail.of(bars, finer)
    found = evaluator(tmp_path, bars, entries, detail=detail).evaluate(LEVELS, Selection(), part)
    tables = build(bars, rows, sides, LEVELS, COSTS, 0, detail)
    num_resolved = 0
    for number in range(0, LEVELS.num_combinations, 11):
        trades = resolve(tables, LEVELS, number, COSTS)
        assert np.abs(found.blocks[number] - np.bincount(part.blocks(entries.times), trades.net, 16)).max() <= 1e-9
        statistics = dict(zip(STATISTICS, found.statistics[number].tolist(), strict=True))
        assert statistics["ambiguous"] == trades.is_ambiguous.sum()
        assert statistics["optimistic_gain"] == pytest.approx(trades.optimistic.sum() - trades.net.sum(), abs=1e-9)
        num_resolved += int(trades.is_resolved.sum())
    assert num_resolved > 50


def test_the_band_of_combinations_changes_no_bit(tmp_path: Path) -> None:
    bars, entries, part = world()
    whole = evaluator(tmp_path / "a", bars, entries).evaluate(LEVELS, Selection(), part)
    bands = evaluator(tmp_path / "b", bars, entries, band_combinations=1).evaluate(LEVELS, Selection(), part)

    assert np.array_equal(whole.blocks, bands.blocks)
    assert np.array_equal(whole.statistics, bands.statistics)
    assert (whole.num_entries, whole.ideal) == (bands.num_entries, bands.ideal)


class _Killed(Exception):
    pass


@pytest.mark.parametrize("band_combinations", [1, 10**6])
def test_a_search_killed_at_any_chunk_ends_with_the_same_bits(tmp_path: Path, band_combinations: int) -> None:
    bars, entries, part = world(4500)
    whole = evaluator(tmp_path / "whole", bars, entries).evaluate(LEVELS, Selection(), part)
    num_kills, is_done = 0, False
    while not is_done:
        calls = 0

        def kill(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise _Killed

        try:
            resumed = evaluator(
                tmp_path / "killed", bars, entries, band_combinations=band_combinations, beat=kill
            ).evaluate(LEVELS, Selection(), part)
            is_done = True
        except _Killed:
            num_kills += 1

    assert num_kills >= 2
    assert np.array_equal(whole.blocks, resumed.blocks)
    assert np.array_equal(whole.statistics, resumed.statistics)
    assert (whole.num_entries, whole.num_opportunities, whole.ideal) == (
        resumed.num_entries, resumed.num_opportunities, resumed.ideal
    )  # fmt: skip


def test_weights_of_a_sample_scale_the_blocks(tmp_path: Path) -> None:
    bars, entries, part = world(500)
    plain = evaluator(tmp_path / "a", bars, entries).evaluate(LEVELS, Selection(), part)
    doubled = evaluator(tmp_path / "b", bars, entries, weights=np.full(500, 2.0)).evaluate(LEVELS, Selection(), part)

    assert np.array_equal(2 * plain.blocks, doubled.blocks)


def test_costs_and_liquidation_are_in_every_return() -> None:
    costs = CostsConfig.model_validate({**SOME_COSTS.model_dump(), "leverage": 10, "maintenance_margin": 0.02})

    assert Costs.of(costs).liquidation == pytest.approx(0.08)
    assert Costs.of(costs).stop == pytest.approx(11e-4)
    assert Costs.of(costs).take_profit == pytest.approx(6e-4)


def test_a_grid_counts_its_combinations_in_the_order_of_its_levels() -> None:
    grid = GridConfig(take_profit_bps=(10, None), stop_loss_bps=(20, 40), holding_periods=(3, 5))
    levels = ExitLevels.of(grid)

    assert grid.num_combinations == levels.num_combinations == 8
    assert [levels.at(i).holding for i in range(4)] == [3, 5, 3, 5]
    assert levels.at(7).record()["take_profit_bps"] is None
