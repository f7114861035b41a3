"""Bars on disk: how the kernel is told that they are read."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seawall.budget.heartbeat import silent
from seawall.search.config import BarsConfig
from seawall.search.ohlc import COLUMNS, open_bars, write_bars


def flags_of(path: Path) -> set[str]:
    """Read the flags of the mapping of a file."""
    found, is_there = set[str](), False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if not line[0].isupper():
            is_there = line.endswith(str(path))
        elif is_there and line.startswith("VmFlags:"):
            found |= set(line.split()[1:])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="flags of a mapping are read from /proc")
def test_bars_are_mapped_for_random_reads(tmp_path: Path) -> None:
    """Read ahead around each entry of 3,000 names, a panel of 1 GB was read 600 times over under a tight limit."""
    times = np.arange("2024-01-01", "2024-02-01", dtype="datetime64[D]")
    prices = {name: np.full(len(times), 50.0) for name in ("open", "high", "low", "close")}
    table = pa.table({"symbol": ["A"] * len(times), "date": pa.array(times).cast(pa.date32()), **prices})
    pq.write_table(table, tmp_path / "bars.parquet")
    write_bars([tmp_path / "bars.parquet"], BarsConfig(entity="symbol", time="date"), tmp_path, silent)

    bars = open_bars(tmp_path)

    assert bars.num_bars == len(times)
    for name in COLUMNS:
        assert "rr" in flags_of(tmp_path / f"{name}.npy"), name
