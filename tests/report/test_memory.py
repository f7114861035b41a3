import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seawall.report.memory import plan
from seawall.units import GIB, MIB
from tests.report.fake_run import World, make_run

CHILD = """
import json, re, sys, threading, time
from pathlib import Path

class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, NoPandas())
peak = 0

def watch():
    global peak
    while True:
        status = Path("/proc/self/status").read_text()
        peak = max(peak, 1024 * int(re.search(r"RssAnon:\\s+(\\d+)", status).group(1)))
        time.sleep(0.001)

threading.Thread(target=watch, daemon=True).start()
from seawall.report.run import write_report
write_report(Path(sys.argv[1]), Path(sys.argv[1]) / "report.html")
time.sleep(0.01)
print(json.dumps(peak))
"""


def _measured_bytes(run: Path) -> int:
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(run)], capture_output=True, text=True, check=True, env=environment
    )
    return int(json.loads(done.stdout))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures RssAnon, which only Linux has")
@pytest.mark.parametrize(
    "world",
    [
        World(num_folds=1, test_dates=100, strategies=("a",), samples_per_unit=10),
        World(),
        World(num_folds=12, test_dates=2_000, strategies=("a", "b", "c", "d", "e"), samples_per_unit=900),
    ],
    ids=["small", "usual", "large"],
)
def test_what_is_measured_is_under_the_plan_and_the_plan_is_not_loose(tmp_path: Path, world: World) -> None:
    run = make_run(tmp_path, world)
    num_dates = 300 + world.num_folds * world.test_dates
    projected = plan(num_dates, world.num_folds, len(world.strategies), GIB).projected_private_bytes
    measured = _measured_bytes(run)
    assert measured <= projected <= 1.5 * measured + 32 * MIB


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures RssAnon, which only Linux has")
def test_ten_years_of_five_thousand_names_are_reported_within_150_mb_and_10_seconds(tmp_path: Path) -> None:
    names = ("a", "b", "c", "d")
    world = World(num_folds=10, test_dates=252, num_names=5_000, strategies=names, samples_per_unit=2_000)
    run = make_run(tmp_path, world)
    began = time.monotonic()
    assert _measured_bytes(run) < 150_000_000
    assert time.monotonic() - began < 10
    assert (run / "report.html").stat().st_size < 6_000_000


def test_the_plan_grows_with_dates_and_strategies_only_where_it_says_so() -> None:
    small, large = plan(1_000, 4, 2, GIB), plan(11_000, 4, 2, GIB)
    assert large.projected_private_bytes - small.projected_private_bytes == 10_000 * 3 * 44
    assert small.stage == "report"
    assert small.projected_cgroup_bytes < 384 * MIB
