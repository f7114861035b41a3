"""Compute IC and Rank IC by date with Qlib or alphalens; run by the python of the peers, never imported by ours.

``python bench/peers/daily_ic.py qlib|alphalens ROWS.parquet OUT.npz``. The table is read before the clock starts.
Prints CPU and wall seconds of the calculation alone and the peak over what the process held by then, as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd


def main() -> None:
    """Run one peer as its documentation does."""
    peer, source, out = sys.argv[1:4]
    frame = pd.read_parquet(source)
    index = ["datetime", "instrument"] if peer == "qlib" else ["date", "asset"]
    frame = frame.rename(columns=dict(zip(["time", "entity"], index, strict=True))).set_index(index)
    if peer == "qlib":
        from qlib.contrib.eva.alpha import calc_ic
    else:
        from alphalens.performance import factor_information_coefficient

        frame = frame.rename(columns={"prediction": "factor", "target": "1D"})
    before, started, cpu = _peak_bytes(), time.perf_counter(), time.process_time()
    if peer == "qlib":
        ic, rank_ic = calc_ic(frame["prediction"], frame["target"])
    else:
        rank_ic = factor_information_coefficient(frame)["1D"]  # alphalens has no other than the rank IC
        ic = rank_ic * np.nan
    took = {"wall_seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    np.savez(out, ic=ic.to_numpy(np.float64), rank_ic=rank_ic.to_numpy(np.float64))
    print(json.dumps(took | {"added_bytes": _peak_bytes() - before}))


def _peak_bytes() -> int:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    main()
