"""The reader in thirty lines sees what Panel sees, and says what to do with several segments."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import seawall as sw
from seawall.ingest.compact import compact
from seawall.stores.panel import Panel
from tests.stores.test_segments import write_base, write_top
from tests.support import make_panel

EXAMPLE = Path(__file__).parents[2] / "examples" / "read_panel.py"


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("read_panel", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_thirty_lines_of_numpy_read_what_panel_reads(tmp_path: Path) -> None:
    lines = EXAMPLE.read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 30
    assert [line for line in lines if "import" in line.split()[:1]] == [
        "import json",
        "import sys",
        "import numpy as np",
    ]
    module, panel = example(), make_panel(tmp_path)
    arrays, columns = module.read_panel(panel.path)
    assert columns == {group: panel.names(group) for group in ("features", "prices")}
    for name in ("features", "targets", "prices", "time_index", "by_time", "offsets", "calendar", "universe"):
        np.testing.assert_array_equal(arrays[name], getattr(panel, name))
    batch = next(iter(sw.windows(panel, lookback=7, batch=32, order="sequential")))
    for x, row in zip(batch["x"], batch["row"], strict=True):
        np.testing.assert_array_equal(module.lookback(arrays, row, 7), x)
    with pytest.raises(ValueError, match="fewer rows"):
        module.lookback(arrays, 3, 7)


def test_several_segments_are_named_as_such_and_readable_once_compact(tmp_path: Path) -> None:
    path = tmp_path / "x.panel"
    write_base(path, {"A": {1: 10, 2: 20, 3: 30}, "B": {1: 40}})
    write_top(path, {"A": {3: 31, 5: 50}, "C": {5: 60}}, [2, 0])
    refused = subprocess.run([sys.executable, EXAMPLE, path], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "run seawall compact" in refused.stderr
    compact(path, block_rows=2)
    done = subprocess.run([sys.executable, EXAMPLE, path], capture_output=True, text=True, check=True)
    assert "(6, 2)" in done.stdout
    assert Panel(path).shape.num_rows == 6
