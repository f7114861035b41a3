"""Predictions for a small panel, changed futures, and a judge of private memory."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seawall.arrays import Float32, Int64
from seawall.budget.environment import allocator_environment
from seawall.stores.npy import HEADER_BYTES
from seawall.stores.panel import Panel
from seawall.stores.predictions import write_fold


def fold_rows(panel: Panel, num_folds: int, *, first_date: int = 10) -> list[Int64]:
    """Split the dates from ``first_date`` on into folds: row ids of each, in (time, entity) order."""
    cuts = np.linspace(first_date, panel.shape.num_dates, num_folds + 1).astype(int)
    places = panel.time_offsets[cuts]
    return [np.array(panel.by_time[start:stop]) for start, stop in pairwise(places.tolist())]


def predict(panel: Panel, folder: Path, *, num_folds: int = 3, seed: int = 0, values_N: Float32 | None = None) -> Path:
    """Write ``folder/predictions``: noise, or the given value of each row of the panel."""
    if values_N is None:
        values_N = np.random.default_rng(seed).standard_normal(panel.shape.num_rows).astype(np.float32)
    for fold, rows in enumerate(fold_rows(panel, num_folds)):
        path = folder / "predictions" / f"fold_{fold:02d}.parquet"
        write_fold(path, panel, fold=fold, rows=rows, predictions=values_N[rows], target="fwd", model_key="none")
    return folder / "predictions"


def change_array(panel: Panel, name: str, rows: Int64, values: npt.ArrayLike) -> None:
    """Overwrite rows of a float64 array of the store where it lies; the manifest is left as it is."""
    path = panel.path / panel.manifest["segments"][0]["name"] / f"{name}.npy"
    shape = np.load(path, mmap_mode="r").shape
    mapped = np.memmap(path, dtype=np.float64, mode="r+", offset=HEADER_BYTES, shape=shape)
    mapped[rows] = np.asarray(values, np.float64)
    mapped.flush()


def private_peak_bytes(
    stage: str, panel: Path, predictions: Path, output: Path, *, pause_seconds: float = 0.003
) -> int:
    """Run a stage in a fresh process as the pipeline does, and give the highest private memory seen.

    It pauses at each unit of work, so that none is missed.
    """
    code = f"""
import pathlib, re, sys, threading, time
from seawall.budget.beginning import leave_out_pandas
leave_out_pandas()
from seawall.{stage}.config import {stage.capitalize()}Config as Config
from seawall.{stage}.run import {stage} as act
peak = 0
def watch():
    global peak
    while True:
        private = re.search(r"RssAnon:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text()).group(1)
        peak = max(peak, int(private) * 1024)
        time.sleep(0.001)
threading.Thread(target=watch, daemon=True).start()
act(*map(pathlib.Path, sys.argv[1:]), Config(), beat=lambda *a, **k: time.sleep({pause_seconds}))
print(peak)
"""
    command = [sys.executable, "-c", code, str(panel), str(predictions), str(output)]
    done = subprocess.run(
        command, env={**os.environ, **allocator_environment()}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)
