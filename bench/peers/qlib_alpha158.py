"""Compute Qlib's own Alpha158 over a provider folder; run by the python of the peers, never imported by ours.

``python bench/peers/qlib_alpha158.py PROVIDER OUT.npz`` writes ``instrument``, ``datetime``, ``names``, ``values``
(float32, as Qlib gives them) and prints wall and CPU seconds and the peak of the process as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Load the features of every instrument with Qlib's loader, one process, no cache on disk."""
    provider, out = sys.argv[1:3]
    import qlib
    from qlib.contrib.data.loader import Alpha158DL
    from qlib.data import D

    qlib.init(provider_uri=provider, region="cn", kernels=1, joblib_backend="sequential", logging_level=40)
    fields, names = Alpha158DL.get_feature_config()
    started, cpu = time.perf_counter(), time.process_time()
    frame = D.features(D.instruments("all"), fields, freq="day")
    took = {"wall_seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    status = Path("/proc/self/status").read_text()
    took["peak_bytes"] = int(status.split("VmHWM:")[1].split()[0]) * 1024  # ru_maxrss would begin with the parent's
    took["rows"] = len(frame)
    if out != "-":
        np.savez_compressed(
            out,
            instrument=frame.index.get_level_values("instrument").to_numpy(str),
            datetime=frame.index.get_level_values("datetime").to_numpy("datetime64[D]"),
            names=np.array(names),
            values=frame.to_numpy(np.float32),
        )
    print(json.dumps(took))


if __name__ == "__main__":
    main()
