"""The claims of evaluate: light to compute, above what is measured, and not far above."""

import subprocess
import sys
from pathlib import Path

import pytest

from seawall.evaluate import memory
from seawall.evaluate.config import EvaluateConfig
from seawall.stores.predictions import ROW_GROUP_ROWS
from seawall.units import GIB, MIB
from tests.evaluate.worlds import predict, private_peak_bytes
from tests.support import make_panel


@pytest.mark.skipif(sys.platform != "linux", reason="private memory is read from /proc")
@pytest.mark.parametrize(("num_entities", "num_dates"), [(12, 100), (1000, 200)])
def test_measured_is_below_projected_and_projected_is_not_idle(
    tmp_path: Path, num_entities: int, num_dates: int
) -> None:
    panel = make_panel(tmp_path, num_entities=num_entities, num_dates=num_dates, num_features=1)
    predictions = predict(panel, tmp_path)

    measured = private_peak_bytes("evaluate", panel.path, predictions, tmp_path / "metrics")

    projected = memory.plan(EvaluateConfig(), panel.shape, GIB).projected_private_bytes
    assert measured <= projected <= 1.5 * measured + 32 * MIB


def test_planning_imports_nothing_heavy() -> None:
    heavy = {"numpy", "pyarrow", "scipy", "torch"}
    code = f"import sys, seawall.evaluate.memory; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_row_group_of_the_plan_is_the_row_group_of_the_store() -> None:
    assert memory.ROW_GROUP_ROWS == ROW_GROUP_ROWS
