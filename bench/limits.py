"""What each limit really does to each library: address space against memory, and what happens at the fence."""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from seawall.budget.environment import allocator_environment
from seawall.budget.fence import Fence, open_fence
from seawall.budget.meter import Meter, Timeline
from seawall.units import GIB, MIB

WORK_MIB = 200

_CHILD = """
import os, re, sys, time
from seawall.budget.fence import enter
enter(sys.argv[1])
def figures():
    text = open('/proc/self/status').read()
    return [int(re.search(name + r':\\s+(\\d+) kB', text).group(1)) / 1024 for name in ('RssAnon', 'VmData')]
exec(sys.argv[2])
imported = figures()
exec(sys.argv[3])
print(*imported, *figures(), flush=True)
"""

_BYTES = WORK_MIB * MIB
_ARROW = f"x = pyarrow.allocate_buffer({_BYTES}); ctypes.memset(x.address, 1, {_BYTES})"

LIBRARIES: dict[str, tuple[str, str, dict[str, str]]] = {
    "numpy": ("import numpy", f"x = numpy.ones({_BYTES} // 8)", {}),
    "arrow, pool system": ("import ctypes, pyarrow", _ARROW, {}),
    "arrow, pool mimalloc": (
        "import ctypes, pyarrow",
        _ARROW,
        {"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"},
    ),
    "duckdb": (
        "import duckdb; c = duckdb.connect(config={'threads': '1', 'memory_limit': '8GiB'})",
        f"c.sql('CREATE TABLE t AS SELECT hash(i) AS x, hash(i + 1) AS y FROM range({_BYTES // 16}) r(i)')",
        {},
    ),
    "torch, 1 thread": ("import torch; torch.set_num_threads(1)", f"x = torch.ones({_BYTES} // 4)", {}),
    "torch, 8 threads": (
        "import torch; torch.set_num_threads(8)",
        f"x = torch.ones({_BYTES} // 4); y = (x * 2).sum()",
        {"OMP_NUM_THREADS": "8", "MKL_NUM_THREADS": "8"},
    ),
}
"""Import, work that holds about 200 MiB, and what is laid over the environment of a stage."""


@dataclass(frozen=True)
class Ended:
    """How one child ended."""

    returncode: int
    figures: list[float]
    last_line: str


def _run(name: str, fence: Fence) -> Ended:
    imports, work, changes = LIBRARIES[name]
    threads = int(changes.get("OMP_NUM_THREADS", "1"))
    environment = {**os.environ, **allocator_environment(threads), **changes}
    argv = [sys.executable, "-c", _CHILD, fence.ticket(), imports, work]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=300)
    figures = [float(word) for word in ended.stdout.split()] if ended.returncode == 0 else []
    named = [line for line in ended.stderr.splitlines() if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return Ended(ended.returncode, figures, (named or [""])[-1])


def _outcome(ended: Ended) -> str:
    if ended.returncode == 0:
        return "works"
    if ended.returncode < 0:
        return f"signal {-ended.returncode} ({signal.Signals(-ended.returncode).name})"
    return ended.last_line.partition(":")[0].rpartition(".")[2] or f"exit {ended.returncode}"


def limits() -> None:
    """Tell what private memory and address space each library takes, and how it ends at a fence of half its need."""
    print(f"\nlimits: each library holding about {WORK_MIB} MiB, MiB of private memory and of RLIMIT_DATA's count\n")
    print("| library | imported: private | counted | working: private | counted | data limit too small | cgroup |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in LIBRARIES:
        free = open_fence(8 * GIB, 8 * GIB, strongest="meter only")
        ended = _run(name, free)
        if not ended.figures:
            print(f"| {name} | cannot be measured: {ended.last_line} | | | | | |")
            continue
        imported, counted, working, counted_working = ended.figures
        refused = _run(name, open_fence(GIB, int((counted_working - WORK_MIB / 2) * MIB), strongest="data limit"))
        own = open_fence(int((working - WORK_MIB / 2) * MIB), GIB)
        killed = _outcome(_run(name, own)) if own.kind == "cgroup" else "no cgroup here"
        own.close()
        cells = (f"{imported:.0f}", f"{counted:.0f}", f"{working:.0f}", f"{counted_working:.0f}")
        print(f"| {name} | {' | '.join(cells)} | {_outcome(refused)} | {killed} |", flush=True)
    _overshoot()


_DUCKDB = """
import duckdb, json, re, sys
limit, folder, rows = sys.argv[1:]
c = duckdb.connect(config={'threads': '1', 'memory_limit': limit + 'MiB', 'temp_directory': folder})
before = int(re.search(r'RssAnon:\\s+(\\d+)', open('/proc/self/status').read()).group(1)) / 1024
c.sql(f"CREATE TABLE t AS SELECT hash(i) AS x, hash(i + 1) AS y FROM range({rows}) r(i)")
c.sql("SELECT count(*) FROM (SELECT *, row_number() OVER (ORDER BY x) FROM t)").fetchall()
print(before)
"""


def _overshoot() -> None:
    """Measure how far DuckDB's private memory goes beyond its limit in a sort that has to spill."""
    print("\nDuckDB, 1 thread, window over 12 M rows (183 MiB of values), spilling: private peak over memory_limit\n")
    print("| memory_limit | private peak | over | of it at start |")
    print("| --- | --- | --- | --- |")
    for limit_mib in (64, 128, 256):
        with tempfile.TemporaryDirectory() as folder:
            argv = [sys.executable, "-c", _DUCKDB, str(limit_mib), folder, "12000000"]
            with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
                with Timeline(Path(folder) / "memory.csv") as timeline:
                    peak_bytes = _watched(child, timeline, Path(folder))
                before = float(child.stdout.read().splitlines()[-1]) if child.stdout else 0.0
        peak_mib = peak_bytes / MIB
        print(
            f"| {limit_mib} MiB | {peak_mib:.0f} MiB | {peak_mib - limit_mib:.0f} MiB | {before:.0f} MiB |", flush=True
        )


def _watched(child: subprocess.Popen[str], timeline: Timeline, folder: Path) -> int:
    watched = Meter(timeline, pid=child.pid, unit="bench", heartbeat=folder / "beat", charged=lambda: None)
    while child.poll() is None:
        watched.sample()
        time.sleep(0.005)
    watched.close()
    return watched.high.private_bytes


def meter() -> None:
    """Tell what watching a stage costs: CPU of the parent for five more seconds of a child with four threads."""
    shares = [_share() for _ in range(3)]
    print("\nmeter: CPU of the waiting parent, share of one core while a stage runs (its start is not counted)")
    print(f"  {statistics.median(shares):.3%} ({min(shares):.3%}-{max(shares):.3%})")


_STAGE = """
import threading, time
for _ in range(4): threading.Thread(target=time.sleep, args=(request['seconds'],), daemon=True).start()
x = bytearray(300 << 20)
for n in range(10 * request['seconds']): time.sleep(0.1); beat('epoch 0: train', n, 10 * request['seconds'])
"""

_WATCHED = """
import json, sys, tempfile, time
from pathlib import Path
from tests.pipeline.injection import Stage, run_stage

def cost(seconds, folder):
    before, started = time.process_time(), time.monotonic()
    run_stage(Stage(sys.argv[1], private_mib=400, room_mib=800, facts={'seconds': seconds}), folder)
    return time.process_time() - before, time.monotonic() - started

with tempfile.TemporaryDirectory() as folder:
    cost(1, Path(folder, 'warm'))
    short, long = cost(1, Path(folder, 'short')), cost(6, Path(folder, 'long'))
    print(json.dumps((long[0] - short[0]) / (long[1] - short[1])))
"""


def _share() -> float:
    argv = [sys.executable, "-c", _WATCHED, _STAGE]
    return float(json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout))
