"""``python -m bench ingest``: a large unsorted CSV to a sorted store, ours and peers in turn, each in a real cgroup.

Every method runs as a process of its own in a memory cgroup of the budget with swap off, and starts with the CSV out of
the page cache. Wall and CPU seconds are those of the whole process tree; ``anon`` is the largest anonymous memory seen.
"""

import argparse
import os
import resource
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.panel_csv import COLUMNS, write_one_entity_csv, write_panel_csv
from seawall.units import MIB, format_bytes, parse_bytes
from tests.cgroups import MemoryCgroup, memory_cgroup

SAMPLE_SECONDS = 0.02
DUCKDB_LIMIT_SHARES = (0.6, 0.5, 0.4, 0.3)
"""Shares of the cgroup given to DuckDB as memory_limit, tried in turn: it uses more than it is told."""

Command = Callable[[Path, Path], list[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of one method."""

    wall_seconds: float
    cpu_seconds: float
    anon_bytes: int
    group_bytes: int
    problem: str


def main(arguments: Sequence[str]) -> None:
    """Generate the CSV, run the methods in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench ingest", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0, help="size of the CSV, 10^9 bytes each")
    parser.add_argument("--budget", default="512MiB", help="limit of the cgroup")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="methods by comma")
    parser.add_argument("--one-entity", action="store_true", help="all rows of one symbol, a minute apart")
    parser.add_argument("--all-digits", action="store_true", help="numbers as programs write them, twice as long")
    parser.add_argument("--folder", default="", help="where the CSV and the results go; a temporary folder if missing")
    options = parser.parse_args(arguments)
    budget_bytes = parse_bytes(options.budget)
    with tempfile.TemporaryDirectory(dir=options.folder or None) as name:
        source = Path(name) / "panel.csv"
        panel_csv = partial(write_panel_csv, all_digits=options.all_digits)
        write = write_one_entity_csv if options.one_entity else panel_csv
        num_rows = write(source, int(options.gigabytes * 1e9))
        size_bytes = source.stat().st_size
        print(f"{size_bytes / 1e9:.2f} GB, {num_rows:,} rows x {len(COLUMNS)} numbers; cgroup {options.budget}")
        wanted = options.only.split(",") if options.only else []
        commands = {key: make for key, make in methods(budget_bytes).items() if not wanted or key in wanted}
        found: dict[str, list[Outcome]] = {key: [] for key in commands}
        for _ in range(options.repeats):
            for key, make in commands.items():
                runs = found[key]
                if runs and runs[-1].problem:
                    continue  # it will not survive the next time either
                runs.append(run(make, source, Path(name) / "result", budget_bytes))
                print(f"  {key:<26} {_text(runs[-1], size_bytes)}", flush=True)
        show(found, size_bytes)


def methods(budget_bytes: int) -> dict[str, Command]:
    """List the methods by name: what each runs for a source and a place for its result."""
    named: dict[str, Command] = {"seawall": lambda source, result: _seawall(source, result, budget_bytes)}
    for share in DUCKDB_LIMIT_SHARES:
        limit_bytes = int(share * budget_bytes)
        named[f"duckdb {share:.0%}"] = lambda source, result, limit=limit_bytes: _python(
            DUCKDB, source, result, str(limit)
        )
    named["polars sort"] = lambda source, result: _python(POLARS, source, result)
    named["pandas chunks unsorted"] = lambda source, result: _python(PANDAS, source, result)
    return named


def _seawall(source: Path, result: Path, budget_bytes: int) -> list[str]:
    options = ["--entity", "symbol", "--time", "date", "--memory", f"{budget_bytes // MIB}MiB"]
    return [sys.executable, "-m", "seawall", "ingest", str(source), "--output", f"{result}.panel", *options]


def _python(script: str, source: Path, result: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", script, str(source), str(result), ",".join(COLUMNS), *more]


DUCKDB = """
import sys, duckdb
source, result, columns, limit = sys.argv[1:]
types = {"symbol": "VARCHAR", "date": "DATE", **dict.fromkeys(columns.split(","), "FLOAT")}
con = duckdb.connect(config={"memory_limit": limit + "B", "threads": "2", "temp_directory": result + ".tmp",
                             "preserve_insertion_order": "false"})
con.execute(f"COPY (SELECT * FROM read_csv('{source}', header=true, columns={types}) ORDER BY symbol, date)"
            f" TO '{result}' (FORMAT parquet, COMPRESSION uncompressed)")
"""

POLARS = """
import sys, polars as pl
source, result, columns = sys.argv[1:]
types = {"symbol": pl.String, "date": pl.Date, **dict.fromkeys(columns.split(","), pl.Float32)}
pl.scan_csv(source, schema=types).sort("symbol", "date").sink_parquet(result, compression="uncompressed")
"""

PANDAS = """
import sys, numpy as np, pandas as pd
source, result, columns = sys.argv[1:]
names = columns.split(",")
types = {"symbol": "category", **dict.fromkeys(names, "float64")}
with open(result, "wb") as file:
    for chunk in pd.read_csv(source, dtype=types, parse_dates=["date"], chunksize=20_000):
        file.write(np.ascontiguousarray(chunk[names].to_numpy(np.float32)).data)
"""


def run(make: Command, source: Path, result: Path, budget_bytes: int) -> Outcome:
    """Run one method in a fresh cgroup, and remove what it wrote."""
    _forget(source)
    with memory_cgroup(budget_bytes) as group:
        watcher = Watcher(group)
        before, started = _children_cpu_seconds(), time.monotonic()
        done = group.run(make(source, result), timeout=7200)
        wall, cpu = time.monotonic() - started, _children_cpu_seconds() - before
        anon_bytes = watcher.stop()
    problem = ""
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        problem = "killed" if done.returncode == -9 or done.oom_kills else last[0][:100]
    for path in result.parent.glob(f"*{result.name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Outcome(wall, cpu, anon_bytes, done.peak_bytes, problem)


class Watcher:
    """Sample the anonymous memory of a cgroup in a thread."""

    def __init__(self, group: MemoryCgroup) -> None:
        version = group.group.version
        self._path, self._key = group.group.folder / "memory.stat", "total_rss" if version == 1 else "anon"
        self._ended, self._peak_bytes = threading.Event(), 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            values = dict(line.split() for line in self._path.read_text().splitlines())
            self._peak_bytes = max(self._peak_bytes, int(values[self._key]))

    def stop(self) -> int:
        """End sampling; the largest value seen."""
        self._ended.set()
        self._thread.join()
        return self._peak_bytes


def _forget(source: Path) -> None:
    """Drop the source from the page cache, so that everybody reads it from the disk into an own account."""
    for path in (source,) if source.is_file() else filter(Path.is_file, source.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _text(outcome: Outcome, size_bytes: int) -> str:
    wall, cpu = outcome.wall_seconds, outcome.cpu_seconds
    rates = (
        f"{wall:7.1f} s {size_bytes / 1e6 / wall:6.0f} MB/s  {cpu:7.1f} CPU s {size_bytes / 1e6 / cpu:6.0f} MB/CPU s"
    )
    return f"{rates}  anon {format_bytes(outcome.anon_bytes):>8}  {outcome.problem}"


def show(found: dict[str, list[Outcome]], size_bytes: int) -> None:
    """Print medians and the ratio of each method's time to ours: above 1, ours is faster."""
    print("medians (ratio: time of the method / time of seawall)")
    ours = found.get("seawall", [])
    for key, runs in found.items():
        if not runs or any(run.problem for run in runs):
            print(f"  {key:<26} did not finish: {runs[-1].problem if runs else ''}")
            continue
        wall = statistics.median(run.wall_seconds for run in runs)
        cpu = statistics.median(run.cpu_seconds for run in runs)
        middle = Outcome(wall, cpu, max(run.anon_bytes for run in runs), 0, "")
        ratio = ""
        if ours and not any(run.problem for run in ours):
            our_wall = statistics.median(run.wall_seconds for run in ours)
            our_cpu = statistics.median(run.cpu_seconds for run in ours)
            ratio = f"x {wall / our_wall:.2f} wall  x {cpu / our_cpu:.2f} CPU"
        print(f"  {key:<26} {_text(middle, size_bytes)}  {ratio}  ({len(runs)} runs)")
