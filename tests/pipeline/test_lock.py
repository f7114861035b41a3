"""The lock on a run folder and on a panel: who holds it, who was killed with it, and who only looks like that."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from seawall.errors import ResumeError, StageError
from seawall.pipeline import lock
from seawall.pipeline.api import ingest
from seawall.pipeline.lock import Owner, PanelLock, last_owner, lock_owner, run_lock

HOLD = """
import sys, time
from pathlib import Path
from seawall.pipeline.lock import run_lock
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
            assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


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
    monkeypatch.setattr(lock, "LOCK_SECONDS", 0.1)
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


def leave(folder: Path, owner: Owner) -> None:
    """Write the record of an owner that was killed."""
    (folder / ".lock").write_text(json.dumps(asdict(owner)))


def test_an_owner_that_ended_in_order_leaves_no_word_and_a_failed_run_is_in_order(tmp_path: Path) -> None:
    with suppress(StageError), run_lock(tmp_path) as left:
        assert left is None
        raise StageError("train", "failed")

    assert (tmp_path / ".lock").read_text() == ""
    assert last_owner(tmp_path) is None


def test_the_next_owner_is_told_who_was_killed(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    folder = tmp_path / ".x.panel.run"
    owner.kill()
    owner.communicate()

    seen = last_owner(folder)
    with run_lock(folder) as left:
        assert left is not None
        assert left.pid == owner.pid
        assert not left.is_alive

    assert seen is not None
    assert (seen.pid, seen.is_holding) == (owner.pid, False)


@pytest.mark.parametrize(
    "left",
    [
        pytest.param({}, id="its very number belongs to a living process that started at another time"),
        pytest.param({"boot": "another life of the kernel"}, id="the machine was started again"),
        pytest.param({"started": "2099-01-01T00:00:00+00:00"}, id="the clock has jumped back a lifetime"),
        pytest.param({"started": "1970-01-01T00:00:00+00:00"}, id="the clock has jumped forward a lifetime"),
    ],
)
def test_a_stale_lock_is_recognised_without_and_with_kernel_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: dict[str, Any]
) -> None:
    me = Owner.this_process()
    leave(tmp_path, replace(me, start_ticks=me.start_ticks + 1, **left))

    with run_lock(tmp_path):
        pass
    leave(tmp_path, replace(me, start_ticks=me.start_ticks + 1, **left))
    monkeypatch.setattr(fcntl, "flock", without_locks)
    with run_lock(tmp_path):
        pass


def without_locks(*_: object) -> NoReturn:
    raise OSError(95, "Operation not supported")


def test_without_kernel_locks_a_living_owner_still_refuses_a_second_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", without_locks)
    leave(tmp_path, Owner.this_process())

    with pytest.raises(ResumeError, match=f"another run is using it, found process {os.getpid()}"), run_lock(tmp_path):
        pytest.fail("held")


def test_an_owner_on_another_host_counts_only_while_it_shows_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "WATCH_SECONDS", 0.5)
    elsewhere = replace(Owner.this_process(), host="other.example", pid=7)
    leave(tmp_path, elsewhere)
    threading.Timer(0.2, os.utime, (tmp_path / ".lock",)).start()

    with pytest.raises(ResumeError, match=r"found process 7 on other\.example"), run_lock(tmp_path):
        pytest.fail("held")
    with run_lock(tmp_path) as left:
        assert left == elsewhere


@pytest.mark.parametrize("text", ["", "123", "{", '{"pid": 1, "x": 2}', "\0" * 9000], ids=repr)
def test_a_damaged_record_is_nobodys(tmp_path: Path, text: str) -> None:
    (tmp_path / ".lock").write_text(text)

    with run_lock(tmp_path) as left:
        assert left is None


def test_a_held_lock_shows_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SIGN_SECONDS", 0.01)
    with run_lock(tmp_path):
        before = (tmp_path / ".lock").stat().st_mtime_ns
        time.sleep(0.1)

        assert (tmp_path / ".lock").stat().st_mtime_ns > before


HOLD_PANEL = """
import sys, time
from pathlib import Path
from seawall.pipeline.lock import PanelLock
with PanelLock(Path(sys.argv[1])) as held:
    getattr(held, sys.argv[2])()
    print("held", flush=True)
    time.sleep(60)
"""


def holder(panel: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD_PANEL, str(panel), how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize(("theirs", "ours"), [("write", "write"), ("write", "read"), ("read", "write")])
def test_a_panel_is_written_by_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: str, ours: str
) -> None:
    monkeypatch.setattr(lock, "LOCK_SECONDS", 0.1)
    panel = tmp_path / "x.panel"
    other = holder(panel, theirs)
    try:
        with PanelLock(panel) as mine, pytest.raises(ResumeError, match=f"panel .*found process {other.pid}"):
            getattr(mine, ours)()
    finally:
        end(other)

    with PanelLock(panel) as mine:
        getattr(mine, ours)()
    assert not list(tmp_path.iterdir()), "the last one out removes the file"


def test_a_panel_is_read_by_many_and_the_first_to_leave_takes_nothing_away(tmp_path: Path) -> None:
    panel = tmp_path / "x.panel"
    other = holder(panel, "read")
    try:
        with PanelLock(panel) as mine:
            mine.read()
        assert (tmp_path / ".x.panel.lock").exists()
    finally:
        end(other)


def test_a_panel_in_a_folder_that_cannot_be_written_is_read_without_a_lock(tmp_path: Path) -> None:
    with PanelLock(tmp_path / "none" / "x.panel") as mine:
        mine.read()
        with pytest.raises(OSError, match="No such file"):
            mine.write()
