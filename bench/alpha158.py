"""Alpha158 of the same bars: ours from Parquet to a checked store, and Qlib from its own provider folder."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.qlib_provider import FIELDS, Bars, write_provider
from seawall.units import MIB
from tests.cgroups import memory_cgroup

PEERS = Path(".venv-peers/bin/python")
LIMIT_BYTES = 512 * MIB
OURS = """
import json, sys, time
from pathlib import Path
from seawall.ingest.config import IngestConfig
from seawall.ingest.run import ingest
config = IngestConfig(
    sources=(sys.argv[1],), entity="symbol", time="date", prices=("open", "high", "low", "close", "vwap"),
    values=("volume",), feature_sets=("alpha158",),
)
started, cpu = time.perf_counter(), time.process_time()
ingest(config, Path(sys.argv[2]), budget_bytes=int(sys.argv[3]))
took = {"wall_seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps(took | {"peak_bytes": int(peak.split()[1]) * 1024}))
"""


def alpha158() -> None:
    """Tell how long each takes and how much it needs: 400 instruments x 1,000 days, and whether the values agree."""
    if not PEERS.exists():
        print(f"\nalpha158: {PEERS} is missing; `make bench-peers` makes it")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = _bars(num_instruments=400, num_days=1000)
        write_provider(folder / "provider", made[0].days, made)
        source = _parquet(folder / "bars.parquet", made)
        ours = [sys.executable, "-c", OURS, str(source), str(folder / "x.panel"), str(LIMIT_BYTES)]
        theirs = [str(PEERS), "bench/peers/qlib_alpha158.py", str(folder / "provider"), str(folder / "q.npz")]
        runs: dict[str, list[dict[str, float]]] = {"seawall": [], "qlib": []}
        for _ in range(3):
            runs["seawall"].append(_child(ours))
            runs["qlib"].append(_child(theirs))
        print("\nalpha158: 400,000 rows x 158 features; ours with parsing, sorting, checks and checksums")
        for peer, taken in runs.items():
            print(f"  {peer:<8} {_shown(taken)}")
        ratio = _median(runs["qlib"], "wall_seconds") / _median(runs["seawall"], "wall_seconds")
        print(f"  qlib / seawall, wall: {ratio:.1f}; largest relative difference {_difference(folder):.1e}")
        for peer, command in (("seawall", ours), ("qlib", theirs)):
            print(f"  {peer:<8} in a cgroup of {LIMIT_BYTES // MIB} MiB: {_limited(command)}")


def _child(command: list[str]) -> dict[str, float]:
    """Run one side in a fresh process; it tells its own seconds, without imports, and its peak."""
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=_environment())
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _limited(command: list[str]) -> str:
    """Run one side in a real memory cgroup, page cache and all."""
    with memory_cgroup(LIMIT_BYTES) as group:
        done = group.run(command, 600, env=_environment())
    if done.returncode:
        return f"killed by the kernel, at {done.peak_bytes / MIB:.0f} MiB" if done.oom_kills else done.stderr[-200:]
    return _shown([json.loads(done.stdout.strip().splitlines()[-1])])


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": "src", "OMP_NUM_THREADS": "1"}


def _median(runs: list[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def _shown(runs: list[dict[str, float]]) -> str:
    cpu, wall = _median(runs, "cpu_seconds"), _median(runs, "wall_seconds")
    peak = f"{_median(runs, 'peak_bytes') / MIB:7.0f} MiB resident"
    return f"{cpu:7.2f} s CPU {wall:7.2f} s wall {peak} {400_000 / wall:10,.0f} rows/s"


def _bars(*, num_instruments: int, num_days: int) -> list[Bars]:
    rng = np.random.default_rng(0)
    days = np.arange(np.datetime64("2015-01-01"), np.datetime64("2030-01-01"))
    days = days[np.is_busday(days)][:num_days]
    made = []
    for number in range(num_instruments):
        close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, num_days)))
        opened = close * np.exp(rng.normal(0, 0.01, num_days))
        high, low = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99
        volume = np.round(rng.lognormal(10, 1, num_days))
        columns = [opened, high, low, close, volume, (high + low + close) / 3]
        made.append(Bars(f"S{number:04d}", days, np.column_stack(columns).astype(np.float32)))
    return made


def _parquet(path: Path, made: list[Bars]) -> Path:
    """Write the bars by date, as vendors send them: the entity of each row changes."""
    values = np.stack([bars.values for bars in made], axis=1).astype(np.float64)
    days = np.repeat(made[0].days.astype("datetime64[ns]"), len(made))
    columns = {name: values[:, :, place].ravel() for place, name in enumerate(FIELDS)}
    names = [bars.name for bars in made] * len(made[0].days)
    pq.write_table(pa.table({"symbol": names, "date": days, **columns}), path)
    return path


def _difference(folder: Path) -> float:
    """Find the largest relative difference of the two, which must also miss the same values."""
    from seawall.stores.panel import Panel

    panel = Panel(folder / "x.panel")
    with np.load(folder / "q.npz") as theirs:
        order = np.lexsort((theirs["datetime"], theirs["instrument"]))
        expected = theirs["values"][order]
    found = np.array(panel.features)
    if not np.array_equal(np.isnan(found), np.isnan(expected)):
        raise SystemExit("alpha158: one side has values the other has not")
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.nanmax(np.abs(found - expected) / np.abs(expected)))
