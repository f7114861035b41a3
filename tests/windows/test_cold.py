"""A store four times a real cgroup limit, read cold: tiles against random access to the mapped file."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.panels import synthetic_panel
from seawall.stores.panel import Panel
from seawall.units import MIB
from seawall.windows.api import WindowsChoice, make_windows
from tests.cgroups import memory_cgroup

LIMIT_BYTES = 256 * MIB

READ = """
import json, sys, time
import numpy as np
from seawall.stores.panel import Panel
from seawall.windows.api import WindowsChoice, make_windows

def disk_bytes():
    return int(open("/proc/self/io").read().split("read_bytes:")[1].split()[0])

panel, how, seconds = Panel(sys.argv[1]), sys.argv[2], float(sys.argv[3])
choice = WindowsChoice(lookback=60, batch=512, order="blocks", pool="32MiB")
if how == "blocks":
    sizes = (batch["x"].nbytes for batch in make_windows(panel, choice))
else:
    rows = np.random.default_rng(0).integers(60, panel.shape.num_rows, 10**6)
    sizes = (np.array(panel.features[row - 60 : row]).nbytes for row in rows.tolist())
before, started, got = disk_bytes(), time.perf_counter(), 0
for size in sizes:
    got += size
    if time.perf_counter() - started > seconds:
        break
taken = time.perf_counter() - started
private = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")][0] * 1024
read = (disk_bytes() - before) / got
print(json.dumps({"per_second": got / 7680 / taken, "read_per_byte": read, "private": private}), flush=True)
"""


@pytest.mark.slow
@pytest.mark.cgroup
def test_blocks_read_a_store_four_times_the_memory_fifty_times_faster_than_random_access(tmp_path: Path) -> None:
    panel = synthetic_panel(tmp_path / "x.panel", num_entities=4200, num_rows=2000, num_features=32)
    assert panel.features.nbytes > 4 * LIMIT_BYTES

    blocks, naive = measured(panel.path, "blocks", 20.0), measured(panel.path, "naive", 20.0)

    print(f"blocks {blocks}, naive {naive}")
    assert blocks["per_second"] >= 50 * naive["per_second"]
    assert blocks["read_per_byte"] <= 0.1
    choice = WindowsChoice(lookback=60, batch=512, order="blocks", pool="32MiB")
    claimed = sum(claim.bytes for claim in make_windows(panel, choice).claims())
    idle = measured(panel.path, "blocks", 0.0)["private"]
    assert blocks["private"] <= idle + claimed


def measured(panel: Path, how: str, seconds: float) -> dict[str, float]:
    with (panel / "seg-000000" / "features.npy").open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with memory_cgroup(LIMIT_BYTES) as group:
        done = group.run([sys.executable, "-c", READ, panel, how, str(seconds)], timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("order", "pool"), [("blocks", "4MiB"), ("by_time", "8MiB"), ("shuffle", None)])
def test_a_stream_holds_what_it_claims_and_the_claim_is_not_fat(tmp_path: Path, order: str, pool: str | None) -> None:
    import tracemalloc

    panel = synthetic_panel(tmp_path / "x.panel", num_entities=60, num_rows=1000, num_features=32)
    choice = WindowsChoice(lookback=20, batch=512, order=order, pool=pool)
    windows = make_windows(Panel(panel.path), choice)
    np.asarray(panel.features).sum()
    claimed = sum(claim.bytes for claim in windows.claims())

    tracemalloc.start()
    again = make_windows(Panel(panel.path), choice)
    for _ in again:
        pass
    measured_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert measured_bytes <= claimed <= 1.5 * measured_bytes + 4 * MIB, (measured_bytes, claimed)
