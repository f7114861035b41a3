"""Qlib's TopkDropout backtest of the same scores and prices: equal to ours date by date, or not."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.qlib_provider import write_fields
from tests.backtest.qlib_world import RULES, change, our_config, qlib_world

PEERS = Path(".venv-peers/bin/python")
RECORDED = Path("tests/backtest/data/qlib_topk_dropout.json")


def topk_dropout() -> None:
    """Run both and tell the largest difference of return, cost and account."""
    if not PEERS.exists():
        print(f"\ntopk_dropout: {PEERS} is missing; `make bench-peers` makes it")
        return
    with tempfile.TemporaryDirectory() as name:
        theirs = run_qlib(Path(name))
        world, days = qlib_world()
        ours = world.run(Path(name) / "ours", our_config()).equity("x").iloc[1 : 1 + len(theirs["return"])]
    pairs = {"account": ours["equity"] * RULES["initial_equity"], "return": ours["gross_return"], "cost": ours["cost"]}
    print(f"\ntopk_dropout: {len(theirs['return'])} dates of {world.close.shape[1]} shares from {days[1]}")
    for column, values in pairs.items():
        other = np.array(theirs[column])
        scale = np.abs(other).max() if column == "account" else 1.0
        print(f"  {column:<8} largest difference {np.abs(values.to_numpy() - other).max() / scale:.1e}")


def run_qlib(folder: Path) -> dict[str, Any]:
    """Write provider and scores, and give Qlib's report."""
    world, days = qlib_world()
    names = [f"S{number:03d}" for number in range(world.close.shape[1])]
    fields = {"close": world.close, "change": change(world.close), "volume": np.where(world.present, 1e9, np.nan)}
    write_fields(folder / "provider", days, names, fields)
    scores = pd.DataFrame(world.predictions, index=pd.DatetimeIndex(days), columns=names).where(world.present)
    pred = scores.stack().dropna().rename("score").to_frame()
    pred.index.names = ["datetime", "instrument"]
    pred.to_parquet(folder / "scores.parquet")
    rules = {**RULES, "start": str(days[1]), "end": str(days[-2])}
    (folder / "rules.json").write_text(json.dumps(rules))
    files = [folder / name for name in ("provider", "scores.parquet", "rules.json", "out.json")]
    argv = [PEERS, "bench/peers/qlib_topk_dropout.py", *files]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"topk_dropout: Qlib failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads((folder / "out.json").read_text())
    return found


def main(words: Sequence[str]) -> None:
    """``--record`` writes what Qlib says to the fixture of the tests."""
    if list(words) != ["--record"]:
        raise SystemExit("topk_dropout takes --record, or nothing")
    with tempfile.TemporaryDirectory() as name:
        RECORDED.parent.mkdir(exist_ok=True)
        RECORDED.write_text(json.dumps(run_qlib(Path(name))) + "\n")
    print(f"{RECORDED}: {RECORDED.stat().st_size:,} bytes")
