"""The record of a run, and the lock on its folder."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from seawall.errors import ConfigError, ResumeError
from seawall.pipeline import manifest
from seawall.pipeline.api import ingest
from seawall.pipeline.manifest import RunManifest, lock_owner, read_run_record, run_lock

HOLD = """
import sys, time
from pathlib import Path
from seawall.pipeline.manifest import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock of ``held``, beside the panel ``x.panel``."""
    (tmp_path / ".x.panel.run").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / ".x.panel.run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_look_at_the_lock_does_not_refuse_the_run_that_starts_meanwhile(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.3, fcntl.flock, (looking.fileno(), fcntl.LOCK_UN)).start()

        with run_lock(tmp_path):
            assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_a_lock_whose_folder_went_away_while_it_was_waited_for_is_not_held(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()

    def remove() -> None:
        time.sleep(0.2)
        shutil.rmtree(folder)
        fcntl.flock(held, fcntl.LOCK_UN)

    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        thread = threading.Thread(target=remove)
        thread.start()
        with pytest.raises(ResumeError, match="another run is using it"), run_lock(folder):
            pytest.fail("held")
        thread.join()


def test_a_second_ingest_to_one_panel_is_refused_and_touches_nothing(
    owner: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "LOCK_SECONDS", 0.1)
    (tmp_path / "t.csv").write_text("symbol,date,close\nA,2020-01-01,1.0\n")
    try:
        with pytest.raises(ResumeError, match=f"process {owner.pid}"):
            ingest(tmp_path / "t.csv", tmp_path / "x.panel", entity="symbol", time="date", memory="2GiB")
        assert lock_owner(tmp_path / ".x.panel.run") == owner.pid
    finally:
        owner.kill()
        owner.communicate()


def test_nobody_owns_a_folder_that_was_never_locked_or_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert lock_owner(tmp_path) is lock_owner(tmp_path / "none") is lock_owner(tmp_path / "file") is None


def test_a_run_that_has_only_begun_is_known_and_kept(tmp_path: Path) -> None:
    RunManifest(tmp_path, "m").begin()
    before = (tmp_path / "run.json").read_bytes()
    RunManifest(tmp_path, "m").begin()

    assert read_run_record(tmp_path)["units"] == {}
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_panel_path_no_file_system_takes_is_refused(tmp_path: Path) -> None:
    for name in ("a\0b.panel", "x" * 300 + ".panel"):
        with pytest.raises(ConfigError, match=r"^output: a (path cannot hold|name in this path is longer)"):
            ingest("t.csv", tmp_path / name, entity="symbol", time="date", memory="2GiB")
    assert not list(tmp_path.iterdir())
