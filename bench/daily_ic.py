"""IC and Rank IC of every date: ours from a Parquet file, date by date, beside Qlib and alphalens in memory."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.units import MIB

PEERS = Path(os.environ.get("SEAWALL_PEERS", ".venv-peers/bin/python"))

OURS = """
import json, sys, time
sys.modules["pandas"] = None  # as in a stage's process: pyarrow would import it for nothing
import numpy as np
import pyarrow.parquet as pq
from seawall.metrics import average_ranks, information_coefficient

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

floor, started, cpu = peak(), time.perf_counter(), time.process_time()
ics, ranks, held, judging = [], [], [], 0.0

def judge(prediction, target):
    global judging
    began = time.process_time()
    ics.append(information_coefficient(prediction, target))
    ranks.append(information_coefficient(average_ranks(prediction), average_ranks(target)))
    judging += time.process_time() - began

last = None
with pq.ParquetFile(sys.argv[1], pre_buffer=False) as file:
    for batch in file.iter_batches(65_536, columns=["time", "prediction", "target"], use_threads=False):
        times = batch.column("time").cast("int64").to_numpy()
        p, t = (batch.column(name).to_numpy() for name in ("prediction", "target"))
        starts = np.concatenate([[0], np.flatnonzero(np.diff(times)) + 1])
        for start, stop in zip(starts, [*starts[1:], len(times)]):
            if last is not None and times[start] != last:
                judge(*(np.concatenate(side) for side in zip(*held)))
                held = []
            last = times[start]
            held.append((p[start:stop], t[start:stop]))
judge(*(np.concatenate(side) for side in zip(*held)))
took = {"wall_seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
np.savez(sys.argv[2], ic=np.array(ics), rank_ic=np.array(ranks))
print(json.dumps(took | {"judging_seconds": judging, "added_bytes": peak() - floor}))
"""


def daily_ic() -> None:
    """Tell CPU seconds, memory over the floor, and whether the numbers agree: 10 M rows of 2,500 dates, three times."""
    _measure(10_000_000, 2500, 3)


def main(words: Sequence[str]) -> None:
    """Run with options: fewer rows for a try."""
    parser = argparse.ArgumentParser(prog="bench daily_ic")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--dates", type=int, default=2500)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    _measure(options.rows, options.dates, options.repeats)


def _measure(num_rows: int, num_dates: int, repeats: int) -> None:
    if not PEERS.exists():
        print(f"\ndaily_ic: {PEERS} is missing; `make bench-peers` makes it")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = _rows(folder / "rows.parquet", num_rows // num_dates, num_dates)
        commands = {"seawall": [sys.executable, "-c", OURS, str(source), str(folder / "seawall.npz")]}
        for peer in ("qlib", "alphalens"):
            commands[peer] = [str(PEERS), "bench/peers/daily_ic.py", peer, str(source), str(folder / f"{peer}.npz")]
        runs: dict[str, list[dict[str, float]]] = {peer: [] for peer in commands}
        for _ in range(repeats):
            for peer, command in commands.items():
                runs[peer].append(_child(command))
        print(f"\ndaily_ic: {num_rows:,} rows, {num_dates:,} dates; peers hold their table before the clock starts")
        _show(runs)
        _compare(folder)


def _show(runs: dict[str, list[dict[str, float]]]) -> None:
    judging = statistics.median(run["judging_seconds"] for run in runs["seawall"])
    reading = statistics.median(run["cpu_seconds"] for run in runs["seawall"])
    for peer, taken in runs.items():
        cpu = statistics.median(run.get("judging_seconds", run["cpu_seconds"]) for run in taken)
        added = max(run["added_bytes"] for run in taken) / MIB
        ratios = f"x {cpu / judging:5.1f} of ours, x {cpu / reading:5.1f} with our reading"
        print(f"  {peer:<10} {cpu:8.2f} s CPU  {ratios}; {added:8.1f} MiB over what it began with")
    print(f"  seawall with reading its file date by date: {reading:.2f} s CPU")


def _rows(path: Path, num_names: int, num_dates: int) -> Path:
    """Write clean rows, sorted by (time, entity): no missing value, no tie that matters, float32 scores."""
    rng = np.random.default_rng(0)
    names = pa.array([f"N{number:06d}" for number in range(num_names)])
    days = np.datetime64("2015-01-01") + np.arange(num_dates)
    with pq.ParquetWriter(path, _schema(), use_dictionary=["entity"]) as writer:
        per_group = max(1, 65_536 // num_names)
        for start in range(0, num_dates, per_group):
            group = days[start : start + per_group].astype("datetime64[ns]")
            size = len(group) * num_names
            prediction = rng.standard_normal(size, np.float32)
            target = 0.02 * (0.03 * prediction + rng.standard_normal(size))
            time = pa.array(np.repeat(group, num_names))
            entities = pa.concat_arrays([names] * len(group))
            columns = [time, entities, pa.array(prediction.astype(np.float64)), pa.array(target)]
            writer.write_table(pa.Table.from_arrays(columns, schema=_schema()))
    return path


def _schema() -> pa.Schema:
    numbers = [("prediction", pa.float64()), ("target", pa.float64())]
    return pa.schema([("time", pa.timestamp("ns")), ("entity", pa.string()), *numbers])


def _compare(folder: Path) -> None:
    """Print the largest differences; more than 1e-12 fails the case."""
    ours = np.load(folder / "seawall.npz")
    for peer, names in (("qlib", ("ic", "rank_ic")), ("alphalens", ("rank_ic",))):
        theirs = np.load(folder / f"{peer}.npz")
        for name in names:
            largest = float(np.abs(ours[name] - theirs[name]).max())
            print(f"  {name:<8} largest difference to {peer}: {largest:.1e}")
            if not largest <= 1e-12:
                raise SystemExit(f"{name} differs from {peer} by more than 1e-12")


def _child(command: list[str]) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": "src", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
