"""From the models of fifteen folds alone to the joined table again: nothing is trained a second time."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from seawall.stores.atomic import file_checksum
from seawall.units import MIB
from tests.cgroups import memory_cgroup

TRAINING_MEMORY, PREDICTING_MEMORY = "2GiB", "640MiB"
"""Torch alone takes a good part of the second; the join after it is what has to do with less."""

FEATURES = [f"f{number}" for number in range(1, 9)]


def again_from_saved_models(folder: Path, num_windows: int, num_wanted: int, budget_bytes: int) -> None:
    """Train a linear model a fold on the raw table, throw all but panel and models away, and get to the join again."""
    run, again = folder / "run", folder / "again"
    _seawall(folder, "config", _config(folder, run), ["--memory", TRAINING_MEMORY])
    before = _tables(run)
    num_predictions = sum(pq.read_metadata(path).num_rows for path in run.glob("predictions/fold_*.parquet"))
    models = sorted(path.name for path in (run / "models").glob("fold_*"))
    (run / "models").rename(folder / "models")
    next(run.glob("*.panel")).rename(folder / "raw.panel")
    shutil.rmtree(run)
    kept: dict[str, Any] = {"panel": str(folder / "raw.panel"), "models": str(folder / "models")}
    config = {"output": str(again), "join": {}, **kept}
    for stage in ("folds", "predict"):
        _seawall(folder, "again", config, ["--only", stage, "--memory", PREDICTING_MEMORY])
    started = time.monotonic()
    with memory_cgroup(budget_bytes) as group:
        command = [sys.executable, "-m", "seawall", "join", str(folder / "again.yaml")]
        done = group.run([*command, "--memory", f"{budget_bytes // MIB}MiB", "--json"], timeout=3600)
    if done.returncode or done.oom_kills:
        raise SystemExit(f"the join failed: {done.stderr}")
    seconds = time.monotonic() - started
    num_rows = sum(pq.read_metadata(path).num_rows for path in again.glob("backtest/table_*.parquet"))
    trained = [name for name in json.loads((again / "run.json").read_text())["units"] if name.startswith("train")]
    if len(models) != num_windows or {num_rows, num_predictions} != {num_wanted} or trained or _tables(again) != before:
        raise SystemExit(
            f"{len(models)} models, {num_predictions:,} predictions, {num_rows:,} rows, trained: {trained}"
        )
    print(
        f"from {len(models)} saved models: {num_predictions:,} predictions, joined in {seconds:.1f} s to the bytes of"
        f" before, peak of the cgroup {done.peak_bytes / MIB:.0f} MiB of {budget_bytes // MIB}; nothing trained",
        flush=True,
    )


def _tables(run: Path) -> list[str]:
    return [file_checksum(path) for path in sorted(run.glob("backtest/table_*.parquet"))]


def _config(folder: Path, run: Path) -> dict[str, Any]:
    return {
        "name": "raw",
        "output": str(run),
        "ingest": {
            "sources": [str(folder / "raw")],
            "entity": "order_book_id",
            "time": "trade_date",
            "duplicates": "last",
            "values": FEATURES,
            "features": {name: name for name in FEATURES},
            "targets": {"y_ret_10d": {"column": {"name": "y_ret_10d", "horizon_periods": 10}}},
        },
        "train": {
            "target": "y_ret_10d",
            "lookback_periods": 1,
            "folds": {"train": 270, "valid": 30, "test": 175},
            "model": {"kind": "ridge"},
            "device": "cpu",
        },
        "join": {},
    }


def _seawall(folder: Path, name: str, config: dict[str, Any], words: list[str]) -> None:
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-m", "seawall", "run", str(path), *words, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"seawall {' '.join(words)}: {done.stderr}")
