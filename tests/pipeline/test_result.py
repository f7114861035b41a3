"""Predictions of a run stay on disk until they are asked for, and are read a batch at a time if wished."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from seawall.errors import FormatError
from seawall.pipeline.config import RunConfig
from seawall.pipeline.manifest import RunManifest
from seawall.pipeline.result import Predictions
from tests.pipeline.world import config

NUM_ROWS = 2_000_000

MEASURE = """
import json, sys
import numpy, pyarrow.parquet
from seawall.budget.processes import own_private_bytes
from seawall.pipeline.result import Run
marks = [own_private_bytes()]
found = Run(sys.argv[1]).predictions
marks.append(own_private_bytes())
total, num_rows = 0.0, 0
for batch in found.scan(["prediction"]):
    num_rows += batch.num_rows
    column = batch.column(0)  # its to_numpy would import pandas, 30 MiB that are none of ours
    total += float(numpy.frombuffer(column.buffers()[1], "f8", len(column), 8 * column.offset).sum())
    marks.append(own_private_bytes())
table = found.to_arrow()
print(json.dumps({"marks": marks, "loaded": own_private_bytes(), "rows": num_rows, "total": total}))
"""


def write_predictions(folder: Path) -> float:
    """Two folds of a million rows each; gives the sum of all predictions."""
    RunManifest(folder, "m").begin()
    (folder / "predictions").mkdir()
    rng, total = np.random.default_rng(0), 0.0
    for fold in range(2):
        values = rng.normal(size=NUM_ROWS // 2)
        total += float(values.sum())
        rows = np.arange(NUM_ROWS // 2, dtype=np.int64)
        table = pa.table({"row": rows, "prediction": values, "more": rng.normal(size=len(rows))})
        pq.write_table(table, folder / "predictions" / f"fold_{fold:02d}.parquet", row_group_size=65_536)
    return total


def test_opening_loads_nothing_and_a_scan_holds_a_batch(tmp_path: Path) -> None:
    total = write_predictions(tmp_path)
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    environment = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_TRIM_THRESHOLD_": "131072"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment)
    found = json.loads(done.stdout)
    before, opened, *scanned = found["marks"]
    assert opened - before < 2**20
    assert max(scanned) - before < 16 * 2**20
    assert max(scanned[len(scanned) // 2 :]) - max(scanned[: len(scanned) // 2]) < 2 * 2**20, "flat over the files"
    assert found["loaded"] - before > NUM_ROWS * 24 * 0.8, "the measure sees what to_arrow loads"
    assert found["rows"] == NUM_ROWS
    assert found["total"] == pytest.approx(total)


def test_no_predictions_are_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no predictions"):
        next(Predictions(tmp_path).scan())


def test_a_backtest_of_a_panel_without_prices_is_refused_before_any_work(tmp_path: Path) -> None:
    settings = config(tmp_path / "x.csv", tmp_path / "out")
    values = {"values": ["close", "value"], "prices": [], "derived": {}, "features": {"f": "ln(value)"}}
    settings["ingest"] |= {**values, "targets": {}, "universe": None}
    settings["ingest"]["targets"] = {"fwd": {"expression": {"sql": "lead(value, 2)", "horizon_periods": 2}}}
    with pytest.raises(ValidationError, match=r"backtest\.trade_price or mark_price: 'close' is not made by ingest"):
        RunConfig.model_validate(settings)
