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


def run_cells(*sources: str, fails: bool = False) -> Any:  # noqa: ANN401 - nbformat has no types
    return nbclient.NotebookClient(cells(*sources), timeout=300, allow_errors=fails).execute()


def table_of(folder: Path) -> Path:
    lines = [f"E{entity},2020-01-{day:02d},{day}" for entity in range(3) for day in range(1, 29)]
    path = folder / "table.csv"
    path.write_text("\n".join(["symbol,date,x", *lines]) + "\n")
    return path


INGEST = """
import seawall as sw
panel = sw.ingest({source!r}, {output!r}, entity="symbol", time="date", memory={memory!r}, **{options!r})
"""


def ingest_cell(folder: Path, memory: str, **options: bool) -> str:
    source, output = str(table_of(folder)), str(folder / "x.panel")
    return INGEST.format(source=source, output=output, memory=memory, options=options)


@pytest.mark.filterwarnings("ignore")
def test_a_notebook_shows_stages_and_memory_in_one_output_and_nothing_where_not_wanted(tmp_path: Path) -> None:
    done = run_cells(ingest_cell(tmp_path, "1GiB"), ingest_cell(tmp_path, "1GiB", progress=False))

    (shown,) = done.cells[0].outputs
    text = shown["data"]["text/plain"]
    assert text.startswith("memory budget 1.0 GiB")
    assert "done  ingest" in text
    assert "MiB planned" in text
    assert shown["data"]["text/html"].startswith("<pre>memory budget")
    assert not done.cells[1].outputs


KILL = """
import os, pathlib, signal, threading, time
def kill():
    while True:
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                text, command = status.read_text(), (status.parent / "cmdline").read_text()
            except OSError:
                continue
            if f"PPid:\\t{os.getpid()}\\n" in text and "seawall.pipeline.child" in command:
                os.kill(int(status.parent.name), signal.SIGKILL)
                return
        time.sleep(0.01)
killer = threading.Thread(target=kill)
killer.start()
"""


@pytest.mark.filterwarnings("ignore")
def test_a_killed_stage_is_explained_in_a_notebook_without_a_traceback(tmp_path: Path) -> None:
    done = run_cells(KILL, ingest_cell(tmp_path, "1GiB"), "killer.join(); print('the kernel lives')", fails=True)

    failed = done.cells[1].outputs[-1]
    screen = "\n".join(failed["traceback"])
    print(screen)
    assert failed["ename"] == "StageError"
    assert "signal 9" in screen
    assert "the same call" in screen
    assert "Traceback" not in screen
    assert ".py" not in screen
    assert len(screen.splitlines()) <= 40
    assert done.cells[2].outputs[0]["text"] == "the kernel lives\n"


def test_outside_a_notebook_nothing_is_shown_unless_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import seawall as sw

    for progress in (None, True):
        sw.ingest(
            str(table_of(tmp_path)),
            tmp_path / "x.panel",
            entity="symbol",
            time="date",
            memory="1GiB",
            progress=progress,
        )
        out, err = capfd.readouterr()
        assert out == ""
        assert ("done  ingest" in err) == bool(progress)
