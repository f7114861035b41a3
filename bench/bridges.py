"""Every export loaded by the program it is for: values read there beside values read from the panel store."""

import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from seawall.arrays import Float64
from seawall.bridges.bars import export_backtrader, export_zipline
from seawall.bridges.predictions import export_alphalens, export_qlib_pred
from seawall.bridges.qlib import export_qlib
from seawall.bridges.wide import export_vectorbt
from seawall.metrics import average_ranks, information_coefficient
from seawall.stores.panel import Panel
from seawall.stores.predictions import write_fold
from tests.support import make_panel

PEERS, ZIPLINE = Path(".venv-peers/bin/python"), Path(".venv-zipline/bin/python")
"""zipline has a folder of its own: it needs an older pandas than the others."""

BLOCK_ROWS = 1000


def bridges() -> None:
    """Export a small panel with gaps and splits to each program and load it there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        panel, predictions = _world(folder)
        export_qlib(panel, folder / "qlib", block_rows=BLOCK_ROWS)
        export_qlib_pred(panel.path, predictions, folder / "qlib-pred")
        export_alphalens(panel.path, predictions, folder / "alphalens")
        export_vectorbt(panel.path, predictions, folder / "vectorbt", block_cells=100_000)
        export_backtrader(panel.path, folder / "backtrader", block_rows=BLOCK_ROWS)
        export_zipline(panel.path, folder / "zipline", block_rows=BLOCK_ROWS)
        np.savez(folder / "expected.npz", **_expected(panel, predictions))
        print("\nbridges: exports loaded by their programs")
        for peer in ("qlib", "qlib-pred", "alphalens", "vectorbt", "backtrader", "zipline"):
            print(f"  {peer:<12} {_load(peer, folder)}", flush=True)


def _load(peer: str, folder: Path) -> str:
    python = ZIPLINE if peer == "zipline" else PEERS
    if not python.exists():
        return f"{python} is missing; `make bench-peers` makes it"
    argv = [python, "bench/peers/load_exports.py", peer, folder]
    environment = {**os.environ, "ZIPLINE_ROOT": str(folder / "zipline_root")}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"bridges: {peer}: {done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]


def _world(folder: Path) -> tuple[Panel, Path]:
    panel = make_panel(folder, num_entities=20, num_dates=200, breaks=True)
    rows = np.asarray(panel.by_time[:])
    rows = rows[panel.time_index[rows] > 60]
    scores = np.random.default_rng(3).standard_normal(len(rows)).astype(np.float32)
    path = folder / "predictions" / "fold_00.parquet"
    write_fold(path, panel, fold=0, rows=rows, predictions=scores, target="fwd", model_key="random")
    return panel, path.parent


def _expected(panel: Panel, predictions: Path) -> dict[str, Float64]:
    """Give what the programs must find: wide prices with NaN where there is no row, scores, rank IC by date."""
    rows = np.arange(panel.shape.num_rows)
    at = panel.time_index[rows], panel.entity_of(rows)
    wide = {
        name: np.full((panel.shape.num_dates, panel.shape.num_entities), np.nan) for name in ("close", "adjustment")
    }
    wide["close"][at] = panel.prices[rows, panel.column_index("prices", "close")]
    wide["adjustment"][at] = panel.adjustment[rows]
    scores = np.full_like(wide["close"], np.nan)
    table = pq.read_table(predictions / "fold_00.parquet", columns=["row", "prediction"])
    scored = table.column("row").to_numpy()
    scores[panel.time_index[scored], panel.entity_of(scored)] = table.column("prediction").to_numpy()
    targets = np.full_like(scores, np.nan)
    targets[at] = panel.returns[rows, 0]
    known = [np.isfinite(s) & np.isfinite(t) for s, t in zip(scores, targets, strict=True)]
    pairs = [(s[k], t[k]) for s, t, k in zip(scores, targets, known, strict=True) if k.sum() > 1]
    ics = [information_coefficient(average_ranks(s), average_ranks(t)) for s, t in pairs]
    days = panel.times_as_datetime().astype("datetime64[D]").astype(np.int64)
    return {**wide, "scores": scores, "rank_ic": np.array(ics, float), "days": days.astype(float)}
