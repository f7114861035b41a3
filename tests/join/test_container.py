"""The join of outside tables in a real container exactly as large as its budget, and what it measures there."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seawall.units import MIB
from tests.cgroups import memory_cgroup

pytestmark = [pytest.mark.cgroup, pytest.mark.skipif(sys.platform != "linux", reason="memory cgroups are Linux")]

NUM_NAMES = 400
KEYS = ("--entity", "order_book_id", "--time", "trade_date", "--duplicates", "last")


def write_tables(folder: Path, num_dates: int) -> int:
    """Text keys by stock on one side and by date on the other, with repeated keys; the number of predictions."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    days = (np.datetime64("2000-01-01") + np.arange(num_dates)).astype("datetime64[ms]")
    names = np.array([f"{number:06d}.XSHE" for number in range(NUM_NAMES)])
    raw = np.repeat(np.arange(NUM_NAMES * num_dates), np.where(rng.random(NUM_NAMES * num_dates) < 0.004, 2, 1))
    columns = {"trade_date": pa.array(days[raw % num_dates]), "order_book_id": pa.array(names[raw // num_dates])}
    columns |= {name: pa.array(rng.standard_normal(len(raw))) for name in ("y_ret_10d", "a", "b", "c")}
    pq.write_table(pa.table(columns), folder / "raw.parquet", row_group_size=100_000)
    order = np.arange(NUM_NAMES * num_dates)
    columns = {"trade_date": pa.array(days[order // NUM_NAMES]), "order_book_id": pa.array(names[order % NUM_NAMES])}
    columns["prediction"] = pa.array(rng.standard_normal(len(order)).astype(np.float32))
    pq.write_table(pa.table(columns), folder / "predictions.parquet", row_group_size=100_000)
    return len(order)


def joined(folder: Path, budget_bytes: int, *, declared: bool = True) -> dict[str, Any]:
    tables = ["--predictions", f"{folder}/predictions.parquet", "--returns", f"{folder}/raw.parquet"]
    options = ["--output", f"{folder}/table.parquet", *KEYS, "--json"]
    options += ["--memory", f"{budget_bytes // MIB}MiB"] if declared else []
    with memory_cgroup(budget_bytes) as group:
        done = group.run([sys.executable, "-m", "seawall", "join", *tables, *options], timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.oom_kills == 0
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_join_stays_in_its_container_and_measures_what_it_projects_at_any_length(tmp_path: Path) -> None:
    measured = []
    for num_dates in (500, 2000, 5000):
        folder = tmp_path / str(num_dates)
        num_rows = write_tables(folder, num_dates)

        # The container alone says as much as a declared budget of its size: the waiting parent counts once.
        found = joined(folder, 200 * MIB, declared=num_dates > 500)

        memory = found["memory"]
        assert memory["measured_private_bytes"] <= memory["projected_private_bytes"]
        assert memory["projected_private_bytes"] <= 1.5 * memory["measured_private_bytes"] + 32 * MIB
        assert found["num_rows"] == num_rows == pq.read_metadata(folder / "table.parquet").num_rows
        measured.append(memory["measured_private_bytes"])
    # 4 and 10 times the rows: no higher peak.
    assert max(measured[1:]) <= 1.05 * measured[0] + MIB
    assert measured[2] <= 1.05 * measured[1] + MIB
