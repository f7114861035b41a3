"""The same calls from a real notebook kernel: it stays small while stages run, and shows how far they are."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.matrix import BASE, config, write_table

nbformat: Any = pytest.importorskip("nbformat", reason="no notebook library is installed")
nbclient: Any = pytest.importorskip("nbclient", reason="no notebook library is installed")
pytest.importorskip("ipykernel", reason="no notebook kernel is installed")

MIB = 2**20
KERNEL_BYTES = 60 * MIB

WATCH = """
import threading, time
from seawall.budget.processes import own_private_bytes
import seawall as sw
start, peak, over = own_private_bytes(), 0, threading.Event()
def watch():
    global peak
    while not over.wait(0.01):
        peak = max(peak, own_private_bytes())
watcher = threading.Thread(target=watch)
watcher.start()
"""

RUN = """
run = sw.run({path!r}, memory="1GiB")
over.set(); watcher.join()
import json
print(json.dumps([start, peak, len(run.record["units"])]))
"""


def cells(*sources: str) -> Any:  # noqa: ANN401 - nbformat has no types
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


@pytest.mark.filterwarnings("ignore")
def test_a_kernel_stays_small_while_stages_run_on_a_panel_larger_than_it_may_grow(tmp_path: Path) -> None:
    from dataclasses import replace

    case = replace(BASE, num_entities=400, num_columns=110, source="parquet", base_dates=400, folds=(30, 10, 20))
    settings = config(case, write_table(tmp_path, case), tmp_path / "out")
    settings = {key: value for key, value in settings.items() if key in ("name", "output", "ingest")}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))

    done = nbclient.NotebookClient(cells(WATCH, RUN.format(path=str(path))), timeout=300).execute()

    start, peak, num_units = json.loads(done.cells[1].outputs[-1]["text"].splitlines()[-1])
    panel_bytes = sum(file.stat().st_size for file in (tmp_path / "out" / "matrix.panel").rglob("*.npy"))
    print(f"kernel {start / MIB:.0f} MiB at its start, {peak / MIB:.0f} MiB at most; panel {panel_bytes / MIB:.0f} MiB")
    assert num_units == 2
    assert panel_bytes > KERNEL_BYTES
    assert peak - start <= KERNEL_BYTES
