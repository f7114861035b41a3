"""The story of the killed notebook runs as it stands, and its table is what pandas would have made."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seawall.units import MIB
from tests.cgroups import memory_cgroup

pytestmark = [pytest.mark.cgroup, pytest.mark.skipif(sys.platform != "linux", reason="memory cgroups are Linux")]

EXAMPLE = Path(__file__).parents[2] / "examples" / "incident_a.py"
FEW, ALL = 7_001, 11_553_790


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("num_predictions", [FEW, pytest.param(ALL, marks=pytest.mark.slow)])
def test_three_calls_join_judge_and_trade_in_a_container_of_two_hundred_mebibytes(
    tmp_path: Path, num_predictions: int
) -> None:
    argv = [sys.executable, str(EXAMPLE), str(num_predictions), str(tmp_path)]
    subprocess.run([*argv, "--tables-only"], check=True)
    with memory_cgroup(200 * MIB) as group:
        done = group.run(argv, timeout=7000)

    assert done.returncode == 0, done.stderr
    assert done.oom_kills == 0
    assert len(re.findall(r"^\$ seawall", done.stdout, re.MULTILINE)) == 3
    # Command and plan draw their lines on standard error or output, by kind of terminal.
    used = re.findall(r"used ([\d.]+) MiB of ([\d.]+) MiB planned", done.stdout + done.stderr)
    assert len(used) == 8
    assert all(float(measured) <= float(planned) < 200 for measured, planned in used)
    assert done.stdout.count("--memory 200MiB") == 3
    assert (tmp_path / "run" / "report.html").exists()

    keys = ["trade_date", "order_book_id"]
    predictions = pd.read_parquet(tmp_path / "predictions")
    raw = pd.read_parquet(tmp_path / "raw", columns=[*keys, "y_ret_10d"])
    assert raw.duplicated(keys).any()
    right = raw.drop_duplicates(keys, keep="last")
    expected = predictions.merge(right, on=keys, how="left").sort_values(keys, kind="stable")
    table = pd.read_parquet(tmp_path / "table.parquet")
    assert len(table) == len(expected) == num_predictions
    np.testing.assert_array_equal(table["entity"].astype(str), expected["order_book_id"])
    np.testing.assert_array_equal(table["forward_return"], expected["y_ret_10d"])
