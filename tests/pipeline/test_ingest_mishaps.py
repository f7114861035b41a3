"""What may happen while the command reads: a disk that fills up, a source that somebody writes to."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import seawall as sw
from tests.pipeline.disks import fill, small_disk

pytestmark = pytest.mark.slow

NUM_ROWS = 200_000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 8 MB of CSV, in order of time: read long enough for something to happen."""
    path = tmp_path_factory.mktemp("source") / "m.csv"
    numbers = np.random.default_rng(0).normal(100, 1, NUM_ROWS)
    lines = (f"E{i % 50:02d},{i // 50},{value:.9f},{-value:.9f}\n" for i, value in enumerate(numbers))
    path.write_text("symbol,step,close,other\n" + "".join(lines))
    return path


def old_store(folder: Path) -> Path:
    (folder / "old.csv").write_text("symbol,step,close,other\nA,1,1.5,2\nB,1,2.5,3\n")
    sw.ingest(folder / "old.csv", folder / "m.panel", entity="symbol", time="step", memory="512MiB")
    (folder / "old.csv").unlink()
    return folder / "m.panel"


def command(source: Path, output: Path) -> list[str]:
    keys = ["--entity", "symbol", "--time", "step", "--memory", "512MiB"]
    return [sys.executable, "-m", "seawall", "ingest", str(source), "--output", str(output), *keys]


def started(source: Path, output: Path) -> "subprocess.Popen[str]":
    """Start the command, and come back once rows are being set aside."""
    running = subprocess.Popen(command(source, output), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not output.with_name(f".{output.name}.ingest").exists():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return running


def test_a_disk_that_fills_up_in_the_middle_leaves_the_old_store(source: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path, 64) as disk:
        panel = old_store(disk)
        key, before = sw.open(panel).content_key, sorted(path.name for path in disk.iterdir())
        running = started(source, panel)
        fill(disk / "filler", leave_bytes=0)
        _, message = running.communicate(timeout=120)
        assert running.returncode == 5, message
        assert "Traceback" not in message
        assert "No space left on device" in message
        assert sorted(path.name for path in disk.iterdir()) == sorted([*before, "filler"])
        assert sw.open(panel).content_key == key
        sw.open(panel).verify()
        (disk / "filler").unlink()
        subprocess.run(command(source, panel), check=True, capture_output=True)
        assert sw.open(panel).shape.num_rows == NUM_ROWS


def test_a_source_that_is_written_to_while_it_is_read_is_refused(source: Path, tmp_path: Path) -> None:
    panel = old_store(tmp_path)
    key = sw.open(panel).content_key
    copy = tmp_path / "m.csv"
    copy.write_bytes(source.read_bytes())
    running = started(copy, panel)
    with copy.open("a") as file:
        file.write("E00,999999,1.0,1.0\n")
    _, message = running.communicate(timeout=120)
    assert running.returncode == 4, message
    assert "m.csv: the file changed while it was read" in message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.panel"]
    assert sw.open(panel).content_key == key
    sw.open(panel).verify()
