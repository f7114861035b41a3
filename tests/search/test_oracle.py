"""Exits equal those of backtesting.py on what both know: gap, stop first, take-profit; its figures are a fixture."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from seawall.search.config import GridConfig
from seawall.search.costs import Costs
from seawall.search.first_hit import build
from seawall.search.levels import ExitLevels
from seawall.search.resolve import REASONS, resolve
from tests.search.worlds import NO_COSTS, make_bars

FIXTURE = Path(__file__).with_name("oracle_backtesting.json")


def test_every_stop_and_take_profit_ends_at_the_bar_and_price_of_backtesting_py() -> None:
    given = json.loads(FIXTURE.read_text())
    prices = [np.array(given["bars"][name]) for name in ("open", "high", "low", "close")]
    num_bars = len(prices[0])
    bars = make_bars([(np.arange(num_bars), prices[0], prices[1], prices[2], prices[3])])
    bars.funding[:] = 0.0
    costs = Costs.of(NO_COSTS.model_copy(update={"take_profit_gap": "open"}))
    num_compared = 0
    for (take_profit, stop_loss), exits in zip(given["levels"], given["exits"], strict=True):
        grid = GridConfig(
            take_profit_bps=(take_profit * 1e4,), stop_loss_bps=(stop_loss * 1e4,), holding_periods=(num_bars,)
        )
        levels = ExitLevels.of(grid)
        for row, side, exit_row, exit_price in exits:
            short = replace(levels, holding=np.array([num_bars - row]))
            tables = build(bars, np.array([row]), np.array([side], np.int8), short, costs)
            trades = resolve(tables, short, 0, costs)
            assert row + trades.bars_held[0] == exit_row
            assert REASONS[trades.reason[0]] in ("stop", "stop_gap", "tp", "tp_gap")
            assert abs(trades.net[0] - side * (exit_price / prices[0][row] - 1)) < 1e-12
            num_compared += 1
    assert num_compared > 700
