"""The parent's side of a child: it outlives nobody, and nothing of the user's is imported by accident."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.pipeline import supervise
from seawall.pipeline.api import ingest

DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


def test_a_second_ctrl_c_does_not_wait_and_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            supervise.end_child(child)
    finally:
        signal.signal(signal.SIGALRM, before)
        child.stdout.close()

    assert child.returncode == -signal.SIGKILL


def test_a_child_that_does_not_listen_is_killed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "STOP_SECONDS", 0.2)
    child = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()

    supervise.end_child(child)

    child.stdout.close()
    assert child.returncode == -signal.SIGKILL


def test_a_child_whose_parent_is_gone_when_it_starts_does_nothing(tmp_path: Path) -> None:
    request = {"parent": os.getpid() + 1, "result": str(tmp_path / "result.json")}
    (tmp_path / "request.json").write_text(json.dumps(request))

    done = subprocess.run(
        [sys.executable, "-P", "-m", "seawall.pipeline.child", str(tmp_path / "request.json")],
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (1, b"")
    assert not (tmp_path / "result.json").exists()


def test_a_file_of_the_user_does_not_stand_in_for_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text("symbol,date,close\nA,2020-01-01,1.0\nA,2020-01-02,2.0\n")
    for name in ("queue", "numpy", "seawall"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the library')")
    monkeypatch.chdir(tmp_path)

    panel = ingest("t.csv", "x.panel", entity="symbol", time="date", memory="2GiB")

    assert panel.shape.num_rows == 2
