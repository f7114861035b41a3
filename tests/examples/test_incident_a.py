"""The story of the killed notebook runs as it stands, and its table is what pandas would have made."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

EXAMPLE = Path(__file__).parents[2] / "examples" / "incident_a.py"
NUM_PREDICTIONS = 7_001


def test_three_calls_join_judge_and_trade_within_two_hundred_mebibytes(tmp_path: Path) -> None:
    argv = [sys.executable, str(EXAMPLE), str(NUM_PREDICTIONS), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=240)

    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^\$ seawall", done.stdout, re.MULTILINE)) == 3
    # Command and plan draw their lines on standard error or output, by kind of terminal.
    used = re.findall(r"used ([\d.]+) MiB of ([\d.]+) MiB planned", done.stdout + done.stderr)
    assert len(used) == 8
    assert all(float(measured) <= float(planned) < 200 for measured, planned in used)
    assert done.stdout.count("--memory 200MiB") == 3
    assert (tmp_path / "run" / "report.html").exists()

    predictions, raw = (pd.read_parquet(tmp_path / name) for name in ("predictions", "raw"))
    keys = ["trade_date", "order_book_id"]
    assert raw.duplicated(keys).any()
    right = raw.drop_duplicates(keys, keep="last")
    expected = predictions.merge(right, on=keys, how="left").sort_values(keys, kind="stable")
    table = pd.read_parquet(tmp_path / "table.parquet")
    assert len(table) == len(expected) == NUM_PREDICTIONS
    np.testing.assert_array_equal(table["entity"].astype(str), expected["order_book_id"])
    np.testing.assert_array_equal(table["forward_return"], expected["y_ret_10d"])
