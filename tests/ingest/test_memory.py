import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.budget.environment import allocator_environment
from seawall.ingest.memory import BUCKET_BYTES, NUM_BUCKETS_MAX, bucket_sizes, plan
from seawall.stores.shape import PanelShape
from seawall.units import GIB, MIB
from tests.ingest.world import settings

CONFIG = settings(Path("m.csv"))


def shape(num_rows: int, num_entities: int, *, longest: int = 0) -> PanelShape:
    return PanelShape(
        num_rows=num_rows,
        num_entities=num_entities,
        num_dates=max(1, num_rows // num_entities),
        num_features=5,
        num_targets=2,
        num_prices=4,
        max_rows_per_entity=longest or max(1, num_rows // num_entities),
        max_rows_per_date=num_entities,
    )


@given(st.integers(1, 10**9), st.integers(1, 10_000), st.integers(128 * MIB, 64 * GIB))
def test_a_plan_is_two_sided_in_its_knobs(num_rows: int, num_entities: int, budget_bytes: int) -> None:
    found = plan(CONFIG, shape(num_rows, min(num_entities, num_rows)), budget_bytes)
    assert 1 <= found.neutral["num_buckets"] <= NUM_BUCKETS_MAX
    assert MIB <= found.neutral["bucket_bytes"] <= BUCKET_BYTES
    assert not found.semantic, "no knob of ingest changes a result"
    assert all(claim.bytes >= 0 and claim.formula for claim in (*found.private, *found.cache, *found.disk))


@pytest.mark.parametrize("budget_bytes", [256 * MIB, 512 * MIB, 4 * GIB])
def test_a_panel_larger_along_time_needs_no_more_once_it_is_larger_than_a_bucket(budget_bytes: int) -> None:
    base, more, most = (
        plan(CONFIG, shape(num_rows, 10_000), budget_bytes).projected_private_bytes
        for num_rows in (10**7, 4 * 10**7, 10**8)
    )
    assert base == pytest.approx(more, rel=0.05)
    assert base == pytest.approx(most, rel=0.05)


def test_a_plan_within_the_budget_says_so_and_the_longest_entity_is_its_lower_bound() -> None:
    assert plan(CONFIG, shape(10**6, 1000), 300 * MIB).projected_cgroup_bytes <= 300 * MIB
    long = plan(CONFIG, shape(10**6, 1000, longest=500_000), 300 * MIB)
    assert long.worst.purpose == "bucket"
    assert long.worst.bytes == int(500_000 * bucket_sizes(CONFIG).working_bytes)
    assert long.projected_cgroup_bytes > 300 * MIB


CHILD = """
import json, sys, threading, time
class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pandas":
            raise ImportError(name)
sys.meta_path.insert(0, NoPandas())
peak = 0
def watch():
    global peak
    while True:
        with open("/proc/self/status") as file:
            found = [line for line in file if line.startswith("RssAnon")]
        peak = max(peak, int(found[0].split()[1]) * 1024)
        time.sleep(0.002)
threading.Thread(target=watch, daemon=True).start()
from pathlib import Path
from seawall.ingest.config import IngestConfig
from seawall.ingest.run import ingest
summary = ingest(IngestConfig(**json.loads(sys.argv[1])), Path(sys.argv[2]), budget_bytes=int(sys.argv[3]))
print(json.dumps([peak, summary["plan"]["projected_private_bytes"]]))
"""


def measured(config: dict[str, Any], output: Path, budget_bytes: int) -> tuple[int, int]:
    """Peak of private bytes and the plan's promise, in a fresh child like the one a run starts."""
    environment = {**os.environ, **allocator_environment(1, reuses_buffers=True, one_arena=True), "PYTHONPATH": "src"}
    arguments = [sys.executable, "-c", CHILD, json.dumps(config), str(output), str(budget_bytes)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    peak, projected = json.loads(done.stdout)
    return peak, projected


def uneven_market(path: Path) -> Path:
    """Half the entities are short, half are long, in order of entity: the sample sees few of them."""
    rng = np.random.default_rng(0)
    frames = []
    for number, length in enumerate([300] * 40 + [5000] * 20):
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, length)))
        days = pd.date_range("1990-01-01", periods=length).strftime("%Y-%m-%d")
        prices = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
        frames.append(pd.DataFrame({"symbol": f"E{number:03d}", "date": days, **prices, "volume": 1e6}))
    pd.concat(frames).to_csv(path, index=False)
    return path


WINDOWS = {f"f{number}": f"avg(adj_close) OVER (entity ROWS {number + 1} PRECEDING)" for number in range(60)}

RANK = {f"r{place}": {"rank": name} for place, name in enumerate(("ret_5", "vol_20", "atr_14"))}
SETS = ["bars_basic", {"name": "alpha158", "vwap": None}]


@pytest.mark.skipif(sys.platform != "linux", reason="private bytes are read from /proc")
@pytest.mark.parametrize(
    ("budget_bytes", "changes"),
    [
        (250 * MIB, {}),
        (1024 * MIB, {}),
        (300 * MIB, {"features": WINDOWS}),
        (1024 * MIB, {"features": WINDOWS}),
        (1024 * MIB, {"features": {"f": "close"}, "derived": {}, "universe": None}),
        (300 * MIB, {"feature_sets": SETS, "features": {}}),
        (1024 * MIB, {"feature_sets": SETS, "features": {}, "derived": {}, "universe": None}),
        (
            1024 * MIB,
            {"feature_sets": SETS[:1], "features": {}, "derived": {}, "universe": None, "cross_sectional": RANK},
        ),
    ],
    ids=[
        "little memory",
        "much memory",
        "many windows, little memory",
        "many windows, much memory",
        "no windows",
        "feature sets, little memory",
        "feature sets alone, much memory",
        "a feature set, names compared",
    ],
)
def test_measured_private_memory_stays_under_the_plan_and_the_plan_is_not_idle(
    tmp_path: Path, budget_bytes: int, changes: dict[str, Any]
) -> None:
    source = uneven_market(tmp_path / "m.csv")
    config = settings(source, adjustment={"detect": True}, **changes).model_dump(mode="json")
    peak, projected = measured(config, tmp_path / "m.panel", budget_bytes)
    assert peak <= projected, f"{peak / MIB:.0f} of {projected / MIB:.0f} MiB"
    assert projected <= 1.5 * peak + 32 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="private bytes are read from /proc")
def test_one_entity_of_a_million_times_stays_under_the_plan(tmp_path: Path) -> None:
    times = np.datetime64("2020-01-01T00:00:00") + np.random.default_rng(0).permutation(1_000_000).astype("m8[m]")
    numbers = np.arange(len(times)) % 997 / 8
    frame = pa.table({"symbol": np.repeat("BTC", len(times)), "date": times.astype("M8[ns]"), "close": numbers})
    pq.write_table(frame, tmp_path / "m.parquet", row_group_size=50_000)
    config: dict[str, Any] = {
        "sources": [str(tmp_path / "m.parquet")],
        "entity": "symbol",
        "time": "date",
        "prices": ["close"],
    }
    config |= {"features": {"f": '"close"'}}

    peak, projected = measured(config, tmp_path / "m.panel", 400 * MIB)

    assert peak <= projected, f"{peak / MIB:.0f} of {projected / MIB:.0f} MiB"
    assert projected <= 1.5 * peak + 32 * MIB
