"""The search beside backtesting.py (exits must be equal) and vectorbt (time and memory), each in .venv-peers."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.search import NUM_BARS, NUM_ENTITIES, grid, in_child, load, write_world
from seawall.search.config import CostsConfig
from seawall.search.costs import Costs
from seawall.search.first_hit import build
from seawall.search.levels import OFF, ExitLevels
from seawall.search.resolve import resolve

PEERS = Path(".venv-peers/bin/python")
FREE = CostsConfig(
    taker_fee_bps=0, maker_fee_bps=0, entry_slippage_bps=0, stop_slippage_bps=0, market_slippage_bps=0,
    take_profit_gap="open",
)  # fmt: skip
VECTORBT_LEVELS = [
    [tp, sl] for tp in (0.003, 0.005, 0.008, 0.012, 0.02, 0.03, 0.05) for sl in (0.003, 0.006, 0.01, 0.02)
]


def peer(script: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Run a script of a peer with JSON in and out."""
    done = subprocess.run(
        [str(PEERS), f"bench/peers/{script}.py"], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def search_peers() -> None:
    """Compare exits trade by trade with backtesting.py, then time vectorbt on the same bars."""
    if not PEERS.exists():
        raise SystemExit("no .venv-peers: run make bench-peers")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(folder, num_entries={"scalping": 1649, "swing": 1550})
        _beside_backtesting(folder)
        _beside_vectorbt(folder)


def _beside_backtesting(folder: Path) -> None:
    bars, entries = load(folder, "scalping")
    own = entries.rows < 4000
    rows, sides = np.asarray(entries.rows[own]), np.asarray(entries.sides[own])
    prices = {name: np.asarray(getattr(bars, name)[:5000]).tolist() for name in ("open", "high", "low", "close")}
    levels = [[0.005, 0.005], [0.01, 0.004], [0.02, 0.02]]
    asked = {"bars": prices, "entries": np.column_stack([rows, sides]).tolist(), "levels": levels}
    found = peer("backtesting_oracle", asked)
    num_equal, num_all = 0, 0
    for (take_profit, stop_loss), exits in zip(levels, found["exits"], strict=True):
        one = ExitLevels(
            np.array([take_profit]), np.array([stop_loss]), np.zeros(1), np.array([OFF]), np.array([2000])
        )  # fmt: skip
        at = np.array([trade[0] for trade in exits])
        side = np.array([trade[1] for trade in exits], np.int8)
        trades = resolve(build(bars, at, side, one, Costs.of(FREE)), one, 0, Costs.of(FREE))
        net = side * (np.array([trade[3] for trade in exits]) / np.asarray(bars.open[at]) - 1)
        same = (at + trades.bars_held == [trade[2] for trade in exits]) & (np.abs(trades.net - net) < 1e-12)
        num_equal, num_all = num_equal + int(same.sum()), num_all + len(exits)
    print(
        f"\nbacktesting.py: {num_equal:,} of {num_all:,} exits equal in bar and price, {found['cpu_seconds']:.2f} s CPU"
    )


def _beside_vectorbt(folder: Path) -> None:
    bars, entries = load(folder, "scalping")
    prices = {
        name: np.asarray(getattr(bars, name)).reshape(NUM_ENTITIES, NUM_BARS).tolist()
        for name in ("open", "high", "low", "close")
    }
    rows, sides = np.asarray(entries.rows), np.asarray(entries.sides)
    given = np.column_stack([rows // NUM_BARS, rows % NUM_BARS, sides]).tolist()
    found = peer("vectorbt_exits", {"bars": prices, "entries": given, "levels": VECTORBT_LEVELS})
    ours = in_child(folder, [("scalping", False)])
    number = grid((4, 8, 12, 16, 24, 32, 48, 64, 80, 96)).num_combinations
    print(
        f"vectorbt from_signals, {len(VECTORBT_LEVELS)} combinations: {found['cpu_seconds']:.2f} s CPU, peak"
        f" {found['peak_bytes'] / 1e6:,.0f} MB, {found['trades']:,} trades (one position per entity, no time exit)\n"
        f"seawall, {number:,} combinations: {ours['cpu']:.2f} s CPU, peak {ours['rss'] / 1e6:,.0f} MB,"
        f" {ours['evaluations']:,} trades"
    )
