"""The sweep: everything a kill leaves goes, and nothing that lives, was published, or lies behind a link."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from seawall.errors import ConfigError, FormatError
from seawall.pipeline import scratch
from seawall.pipeline.clean import CleanChoice, Swept, clean
from seawall.pipeline.litter import EMPTY_CGROUP
from seawall.pipeline.lock import PanelLock, run_lock
from seawall.pipeline.scratch import scratch_folder
from seawall.units import MIB, parse_seconds
from tests.cgroups import memory_cgroup
from tests.pipeline.kills import artefacts

ALL = CleanChoice()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def run(finished_run: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run[0], tmp_path / "out"))


LITTER = (
    ".run.json.tmp",
    "models/fold_00/.model.safetensors.tmp",
    "models/fold_00/checkpoint.pt",
    "predictions/fold_01.slots",
    "predictions/.fold_02.parquet.tmp",
    "metrics/.daily.parquet.tmp",
    "backtest/.table_0000.parquet.tmp",
    "backtest/top/.ledger.parquet.tmp",
    "small.panel/seg-000007/features.npy",
    "small.panel/.seg-000008.tmp/features.npy",
    "small.panel/.panel.json.tmp",
    ".small.panel.ingest/bucket-00000.rows",
    ".small.panel.run/run/plan.json",
    ".small.panel.lock",
)


def litter(run: Path) -> None:
    for name in LITTER:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(b"x" * 5000)


def names(swept: Swept, run: Path) -> set[str]:
    return {str(found.path.relative_to(run)) for found in swept.removed}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_a_kill_leaves_goes_and_a_finished_run_is_still_finished(run: Path) -> None:
    before = files(run)
    litter(run)

    swept = clean([run], ALL)

    folders = {".small.panel.ingest", ".small.panel.run", "small.panel/seg-000007", "small.panel/.seg-000008.tmp"}
    expected = {name for name in LITTER if not any(name.startswith(f"{folder}/") for folder in folders)}
    assert names(swept, run) == expected | folders
    assert files(run) == before
    assert not swept.failed
    assert not clean([run], ALL).removed


def test_a_dry_run_tells_the_same_and_removes_nothing(run: Path) -> None:
    litter(run)
    before = files(run)

    told = clean([run], CleanChoice(is_dry=True))

    assert files(run) == before
    assert names(told, run) == names(clean([run], ALL), run)
    assert sum(found.bytes for found in told.removed) >= 5000 * len(LITTER)


@pytest.mark.parametrize(("unit", "path"), [("predict/fold_01", "predictions/fold_01.slots")])
def test_progress_of_an_unfinished_unit_stays(run: Path, unit: str, path: str) -> None:
    litter(run)
    record = json.loads((run / "run.json").read_text())
    del record["units"][unit]
    (run / "run.json").write_text(json.dumps(record))
    (run / ".request.json").write_text('{"unit": "train/fold_00"}')  # trained anew with another config, and killed

    swept = clean([run], ALL)

    assert path not in names(swept, run)
    assert "models/fold_00/checkpoint.pt" not in names(swept, run)
    assert (run / ".request.json").exists()


def test_a_run_that_is_going_is_left_alone_and_its_process_named(run: Path) -> None:
    litter(run)
    before = files(run)

    with run_lock(run):
        swept = clean([run], ALL)

    assert not swept.removed
    assert [path for path, _ in swept.in_use] == [run]
    assert {name: content for name, content in files(run).items() if name != ".lock"} == {
        name: content for name, content in before.items() if name != ".lock"
    }


def test_a_panel_that_another_run_reads_is_left_alone_and_the_rest_is_swept(run: Path) -> None:
    litter(run)

    with PanelLock(run / "small.panel") as held:
        held.read()
        swept = clean([run], ALL)

    assert [path for path, _ in swept.in_use] == [run / "small.panel"]
    assert "metrics/.daily.parquet.tmp" in names(swept, run)
    assert (run / "small.panel/seg-000007").exists()
    assert (run / ".small.panel.ingest").exists()


def test_a_panel_alone_can_be_named(run: Path) -> None:
    litter(run)

    swept = clean([run / "small.panel"], ALL)

    assert "small.panel/seg-000007" in names(swept, run)
    assert (run / "metrics/.daily.parquet.tmp").exists()


def test_without_a_manifest_no_segment_is_called_unused(run: Path) -> None:
    litter(run)
    (run / "small.panel/panel.json").write_text("{")

    clean([run / "small.panel"], ALL)

    assert {path.name for path in (run / "small.panel").glob("seg-*")} == {"seg-000000", "seg-000007"}


def test_links_are_not_followed_out(run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / ".precious.tmp").write_text("mine")
    (outside / "deep" / "precious").write_text("mine")
    shutil.rmtree(run / "metrics")
    (run / "metrics").symlink_to(outside)
    (run / "small.panel/.seg-000009.tmp").symlink_to(outside)
    (run / "backtest/.link.tmp").symlink_to(outside / ".precious.tmp")
    (run / ".small.panel.ingest").symlink_to(outside)
    (run / "predictions/folder.slots").symlink_to(outside)
    before = files(outside)

    clean([run], ALL)

    assert files(outside) == before
    assert not (run / "backtest/.link.tmp").is_symlink(), "the link itself is litter"
    assert not (run / ".small.panel.ingest").is_symlink()
    assert (run / "metrics").is_symlink()


HOSTILE = (
    ".two\nlines.tmp",
    ".\x1b[31mred.tmp",
    ".[bold]markup[red].tmp",
    ".'; rm -rf ~; '.tmp",
    f".{'x' * 240}.tmp",
    ".é☃.tmp",
)


def test_names_with_anything_in_them_are_removed_and_shown_on_one_line(run: Path) -> None:
    for name in HOSTILE:
        (run / name).write_text("x")
    (run / os.fsdecode(b".caf\xe9.tmp")).write_text("x")
    command = [sys.executable, "-m", "seawall", "clean", str(run)]

    told = subprocess.run([*command, "--dry-run"], capture_output=True, check=True)
    done = subprocess.run([*command, "--json"], capture_output=True, check=True)

    assert b"\x1b" not in told.stdout
    assert b"two\\nlines" in told.stdout.replace(b"\n", b"").replace(b" ", b"").replace("│".encode(), b"")
    assert len(json.loads(done.stdout)["removed"]) == len(HOSTILE) + 1
    assert not list(run.glob(".*.tmp"))


def test_the_limit_keeps_the_newest_and_the_young_stay(run: Path) -> None:
    now = time.time()
    for age, name in ((100, ".old.tmp"), (50, ".mid.tmp"), (10, ".new.tmp")):
        (run / name).write_bytes(b"x" * 8192)
        os.utime(run / name, (now - age, now - age))

    by_size = clean([run], CleanChoice(limit_bytes=2 * 8192, is_dry=True))
    by_age = clean([run], CleanChoice(older_than_seconds=30, is_dry=True))

    assert names(by_size, run) == {".old.tmp"}
    assert names(by_age, run) == {".old.tmp", ".mid.tmp"}
    assert {found.path.name for found in by_age.kept} == {".new.tmp"}


@pytest.mark.parametrize(("text", "seconds"), [("7d", 604_800), ("90 min", 5400), ("1.5h", 5400), ("2W", 1_209_600)])
def test_spans_of_time_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert parse_seconds(text, where="here") == seconds


@pytest.mark.parametrize("text", ["7", "", "d", "-1d", "7 days", "7m"])
def test_a_span_without_a_unit_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--older-than: not a span of time, found .*Write for example 7d"):
        parse_seconds(text, where="--older-than")


def test_a_folder_that_is_not_ours_is_refused_before_anything_is_removed(run: Path, tmp_path: Path) -> None:
    litter(run)
    (tmp_path / "other").mkdir()

    with pytest.raises(FormatError, match="neither a run folder nor a panel store"):
        clean([run, tmp_path / "other"], ALL)

    assert (run / ".run.json.tmp").exists()


DIE = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[1]
from seawall.pipeline.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "big").write_bytes(b"x" * 100_000)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_scratch_of_killed_runs_goes_at_the_next_start_and_that_of_living_ones_stays(temporary: Path) -> None:
    subprocess.run([sys.executable, "-c", DIE, str(temporary)], check=False)
    (left,) = temporary.iterdir()
    (temporary / "seawall-of-somebody-else").mkdir()
    (temporary / "seawall-link").symlink_to(left)

    with scratch_folder() as mine:
        assert not left.exists()
        assert mine.exists()
        assert not clean([], ALL).removed

    assert {path.name for path in temporary.iterdir()} == {"seawall-of-somebody-else", "seawall-link"}


def test_clean_sweeps_scratch_of_killed_runs_but_not_a_folder_with_other_things_in_it(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "YOUNG_SECONDS", -1.0)
    subprocess.run([sys.executable, "-c", DIE, str(temporary)], check=False)
    (temporary / "seawall-notes").mkdir()
    (temporary / "seawall-notes" / "precious").write_text("mine")
    (temporary / "seawall-empty").mkdir()

    swept = clean([], ALL)

    assert len([found for found in swept.removed if found.kind == "scratch of a killed run"]) == 2
    assert [path.name for path in temporary.iterdir()] == ["seawall-notes"]


@pytest.mark.cgroup
def test_empty_cgroups_of_gone_parents_go_and_those_with_processes_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    with memory_cgroup(64 * MIB) as around:
        monkeypatch.setattr("seawall.pipeline.litter.own_group", lambda: around.group)
        for name in ("seawall-4000000-0", f"seawall-{os.getpid()}-0", "seawall-4000001-0", "other"):
            (around.group.folder / name).mkdir()
        sleeper = subprocess.Popen(["sleep", "60"])
        (around.group.folder / "seawall-4000001-0/cgroup.procs").write_text(str(sleeper.pid))
        try:
            swept = clean([], ALL)
        finally:
            sleeper.kill()
            sleeper.wait()

        assert [found.path.name for found in swept.removed if found.kind == EMPTY_CGROUP] == ["seawall-4000000-0"]
        left = {path.name for path in around.group.folder.iterdir() if path.is_dir()}
    assert left == {f"seawall-{os.getpid()}-0", "seawall-4000001-0", "other"}


def test_a_folder_that_cannot_be_removed_is_told_with_the_reason(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    litter(run)

    def refuse(path: Path, **_: Any) -> None:  # noqa: ANN401 - as the original
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)

    swept = clean([run], ALL)

    assert (run / "small.panel/seg-000007", "Operation not permitted") in swept.failed
    assert not (run / ".run.json.tmp").exists()


def test_what_clean_leaves_is_what_a_run_continues_from(finished_run: tuple[Path, dict[str, Any]], run: Path) -> None:
    litter(run)
    clean([run], ALL)

    assert artefacts(run) == artefacts(finished_run[0])
    assert stat.S_ISDIR((run / "small.panel/seg-000000").lstat().st_mode)
