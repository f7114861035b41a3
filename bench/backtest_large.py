"""``python -m bench backtest``: ten years of daily scores of five thousand names, joined and traded; time and peak.

Each stage runs in a process of its own, as in a run: CPU seconds of that process, imports and all, its private peak,
and beside it what the plan claims.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seawall.backtest.config import BacktestConfig
from seawall.backtest.memory import plan as plan_backtest
from seawall.budget.claims import StagePlan
from seawall.budget.environment import allocator_environment
from seawall.join.config import JoinConfig
from seawall.join.memory import plan as plan_join
from seawall.stores.panel import Panel, TargetSpec
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter
from seawall.stores.predictions import write_fold
from seawall.stores.shape import read_shape
from seawall.units import MIB, format_bytes, parse_bytes

DAY_NS = 86_400_000_000_000

STRATEGIES: dict[str, dict[str, Any]] = {
    "top 50, daily": {"kind": "top_k", "k": 50, "rebalance_periods": 1},
    "top 50 dropping 5, daily": {"kind": "top_k_dropout", "k": 50, "n_drop": 5, "gross_exposure": 0.95},
    "deciles long-short, weekly": {"kind": "quantile_long_short", "num_quantiles": 10, "rebalance": "weekly"},
    "all names by rank, monthly": {"kind": "rank_weighted", "side": "long_short", "rebalance": "monthly"},
}

CHILD = """
import sys, threading, time
class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError("as in a stage's process", name=name)
sys.meta_path.insert(0, NoPandas())
started = time.perf_counter()
from pathlib import Path
peak, running = 0, True
def watch():
    global peak
    while running:
        with open("/proc/self/status") as file:
            peak = max(peak, next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024)
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()
folder, config, slab_rows = Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
if sys.argv[1] == "join":
    from seawall.join.config import JoinConfig
    from seawall.join.run import join
    join(folder / "x.panel", folder / "predictions", folder / "backtest", JoinConfig.model_validate_json(config))
else:
    from seawall.backtest.config import BacktestConfig
    from seawall.backtest.run import backtest
    settings, table = BacktestConfig.model_validate_json(config), folder / "backtest"
    backtest(folder / "x.panel", table, folder / "backtest", settings, slab_rows=slab_rows)
time.sleep(0.02)
import json
print(json.dumps({"cpu": time.process_time(), "wall": time.perf_counter() - started, "anon": peak}))
"""


def main(arguments: Sequence[str]) -> None:
    """Generate the panel and the scores, run join and each strategy, print figures and claims."""
    parser = argparse.ArgumentParser(prog="python -m bench backtest", description=__doc__)
    parser.add_argument("--names", type=int, default=5000)
    parser.add_argument("--dates", type=int, default=2520)
    parser.add_argument("--budget", default="200MiB", help="what the plans are made for, beside a parent of 32 MiB")
    parser.add_argument("--folder", default="", help="where the files go; temporary if missing")
    options = parser.parse_args(arguments)
    share_bytes = parse_bytes(options.budget) - 32 * MIB
    with tempfile.TemporaryDirectory(dir=options.folder or None) as name:
        folder = Path(name)
        num_rows = write_world(folder, options.names, options.dates)
        shape = read_shape(folder / "x.panel")
        print(f"{num_rows:,} scores: {options.dates:,} dates x {options.names:,} names; plans for {options.budget}")
        settings = JoinConfig()
        _show("join", plan_join(settings, shape, share_bytes), share_bytes, _run("join", folder, settings, 0))
        for label, strategy in STRATEGIES.items():
            config = config_of(strategy)
            plan = plan_backtest(config, shape, share_bytes)
            _show(label, plan, share_bytes, _run("backtest", folder, config, plan.neutral["slab_rows"]))


def config_of(strategy: dict[str, Any]) -> BacktestConfig:
    """Trade one strategy at the close of the next date, after costs."""
    every = {} if "rebalance" in strategy else {"rebalance_periods": 1}
    values = {
        "strategies": [{"name": "x", **every, **strategy}],
        "delay_periods": 1,
        "trade_price": "close",
        "mark_price": "close",
        "cost_bps": {"buy": 5, "sell": 15},
        "slippage_bps": 2,
        "minimum_fee": 0,
        "borrow_bps_per_year": 100,
        "benchmark": {"kind": "equal_weighted"},
        "periods_per_year": 252,
    }
    return BacktestConfig.model_validate(values)


def write_world(folder: Path, num_names: int, num_dates: int) -> int:
    """Write a panel of random walks and a prediction store with a score for every row."""
    rng, calendar = np.random.default_rng(0), (14_000 + np.arange(num_dates)) * DAY_NS
    spec = PanelSpec(
        calendar_kind="timestamp",
        columns=(
            ColumnSpec("f", "features", "float32"),
            ColumnSpec("fwd", "targets", "float32"),
            *(ColumnSpec(name, "prices", "float64") for name in ("open", "high", "low", "close")),
        ),
        targets=(TargetSpec("fwd", "forward_return", "close", 1, 1),),
    )
    with PanelWriter(folder / "x.panel", spec, calendar) as writer:
        for number in range(num_names):
            close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, num_dates)))
            writer.append(
                EntityBlock(
                    names=[f"{number:06d}.XSHE"],
                    lengths=np.array([num_dates]),
                    times=calendar,
                    features=np.zeros((num_dates, 1), np.float32),
                    returns=rng.normal(0, 0.02, (num_dates, 1)),
                    target_end=np.minimum(np.arange(num_dates) + 2, num_dates - 1)[:, None],
                    prices=np.column_stack([close, close * 1.01, close * 0.99, close]),
                    adjustment=np.ones(num_dates),
                    universe=np.ones(num_dates, bool),
                )
            )
        writer.finish(sources=[], ingest={}, slab_bytes=64 * MIB)
    panel = Panel(folder / "x.panel")
    rows, scores = panel.by_time[:], rng.standard_normal(panel.shape.num_rows, np.float32)
    path = folder / "predictions" / "fold_00.parquet"
    write_fold(path, panel, fold=0, rows=rows, predictions=scores, target="fwd", model_key="random")
    return len(rows)


def _run(stage: str, folder: Path, config: JoinConfig | BacktestConfig, slab_rows: int) -> dict[str, float]:
    command = [sys.executable, "-c", CHILD, stage, str(folder), config.model_dump_json(), str(slab_rows)]
    environment = {**os.environ, **allocator_environment()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _show(label: str, plan: StagePlan, share_bytes: int, found: dict[str, float]) -> None:
    private, group = plan.projected_private_bytes, plan.projected_cgroup_bytes
    fits = "fits" if group <= share_bytes else "does not fit"
    print(
        f"  {label:<28} {found['cpu']:6.1f} CPU s {found['wall']:6.1f} s  private {format_bytes(int(found['anon']))}"
        f" of {format_bytes(private)} claimed; container {format_bytes(group)}, {fits}",
        flush=True,
    )
