"""The table of deaths: each is really brought about in a real child behind a real fence, and must be told right.

What a user sees in place of ``Killed`` is checked row by row in ``check_screen``.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.budget import fence, guard
from seawall.budget.causes import cause_of_exception
from seawall.budget.fence import probe
from seawall.budget.kills import KillCounts, LevelCount, count_kills, who_killed
from seawall.errors import ConfigError, SeawallError, StageError
from tests.cgroups import memory_cgroup
from tests.pipeline.injection import Stage, end_of, rows_of, run_stage
from tests.support import mounted_tmpfs

HAS_CGROUP = probe()[0].startswith("cgroup: yes")
ROOT = Path(__file__).resolve().parents[2]

MIB = 2**20
BEAT = "import os, signal, resource, time; beat('epoch 3: train', 12, 40)\n"
KILL = BEAT + "os.kill(os.getpid(), {signal})"

DEATHS: dict[str, tuple[Stage, str, str]] = {
    "signal 9 from outside": (Stage(KILL.format(signal=9)), "killed", "sender unknown"),
    "signal 9 without a cgroup": (
        Stage(KILL.format(signal=9), strongest="data limit"),
        "killed",
        "killed by signal 9 from outside, sender unknown (no counter of kills for memory has moved)",
    ),
    "SIGTERM from outside": (Stage(KILL.format(signal=15)), "terminated", "signal 15 (SIGTERM) from outside"),
    "SIGHUP that it does not ignore": (
        Stage(BEAT + "signal.signal(1, signal.SIG_DFL); os.kill(os.getpid(), 1)"),
        "hung-up",
        "its terminal or session was closed",
    ),
    "SIGINT that it does not ignore": (
        Stage(BEAT + "signal.signal(2, signal.SIG_DFL); os.kill(os.getpid(), 2)"),
        "interrupted",
        "signal 2 (SIGINT) from outside",
    ),
    "MemoryError of Python": (
        Stage(BEAT + "bytearray(900 << 20)", strongest="data limit"),
        "memory-fence",
        "an allocation was refused by the memory fence",
    ),
    "MemoryError of NumPy": (
        Stage(BEAT + "import numpy; numpy.ones((900, 131072))", strongest="data limit"),
        "memory-numpy",
        "Unable to allocate 900. MiB for an array with shape (900, 131072) and data type float64",
    ),
    "ArrowMemoryError": (
        Stage(BEAT + "import pyarrow; pyarrow.allocate_buffer(900 << 20)", strongest="data limit"),
        "memory-arrow",
        "ArrowMemoryError: malloc of size 943718400 failed",
    ),
    "torch's allocator": (
        Stage(BEAT + "import torch; torch.ones(900 << 18)", private_mib=280, room_mib=600, strongest="data limit"),
        "memory-torch",
        "DefaultCPUAllocator",
    ),
    "DuckDB out of memory": (
        Stage(
            BEAT + "import duckdb\n"
            "c = duckdb.connect(config={'memory_limit': '16MiB', 'threads': '1', 'max_temp_directory_size': '0MiB'})\n"
            "c.sql('SELECT list(i ORDER BY hash(i)) FROM range(20000000) t(i)').fetchall()",
        ),
        "memory-duckdb",
        "OutOfMemoryException",
    ),
    "SIGSEGV": (Stage(BEAT + "import ctypes; ctypes.string_at(0)"), "crash-segv", "signal 11 (SIGSEGV)"),
    "SIGSEGV near the planned memory": (
        Stage(
            BEAT + "x = bytearray(80 << 20); x[::4096] = b'1' * len(x[::4096]); time.sleep(0.3)\n"
            "import ctypes; ctypes.string_at(0)",
            private_mib=90,
        ),
        "crash-near-limit",
        "crashed (SIGSEGV) near its planned memory, probably after a refused allocation",
    ),
    "SIGABRT": (Stage(BEAT + "os.abort()"), "crash-abort", "signal 6 (SIGABRT)"),
    "SIGABRT after a refused allocation": (
        Stage(BEAT + "os.write(2, b'memory allocation of 8388608 bytes failed\\n'); os.abort()"),
        "memory-abort",
        "a library gave up because memory was refused",
    ),
    "SIGBUS, a mapped file cut short": (
        Stage(
            BEAT + "import mmap\n"
            "f = open(request['heartbeat'] + '.map', 'w+b'); f.truncate(1 << 20); m = mmap.mmap(f.fileno(), 0)\n"
            "f.truncate(0); m[1 << 19]"
        ),
        "crash-bus",
        "a mapped file became shorter",
    ),
    "SIGILL": (Stage(KILL.format(signal="signal.SIGILL")), "crash-ill", "another processor"),
    "SIGFPE": (Stage(KILL.format(signal="signal.SIGFPE")), "crash-fpe", "signal 8 (SIGFPE)"),
    "a device that is full": (
        Stage(BEAT + "f = open('/dev/full', 'wb'); f.write(b'x'); f.flush()"),
        "disk-full",
        "the disk is full",
    ),
    "a disk error": (
        Stage(BEAT + "open('/proc/self/mem', 'rb', buffering=0).read(1)"),
        "disk-error",
        "the disk reports an error",
    ),
    "too many open files": (
        Stage(BEAT + "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); [os.dup(2) for _ in range(50)]"),
        "too-many-files",
        "too many open files",
    ),
    "no more threads": (
        Stage(
            BEAT + "import threading; threading.stack_size(900 << 20); threading.Thread(target=print).start()",
            strongest="data limit",
        ),
        "too-many-processes",
        "no more threads or processes",
    ),
    "CPU time limit": (
        Stage(BEAT + "resource.setrlimit(resource.RLIMIT_CPU, (1, 60))\nwhile True: pass"),
        "cpu-limit",
        "limit of CPU time",
    ),
    "file size limit": (
        Stage(
            BEAT + "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
            "open(request['heartbeat'] + '.big', 'wb').write(bytes(9000))"
        ),
        "file-size-limit",
        "limit of file sizes",
    ),
    "file size limit by signal": (
        Stage(
            BEAT + "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
            "open(request['heartbeat'] + '.big', 'wb').write(bytes(9000))"
        ),
        "file-size-limit",
        "limit of file sizes",
    ),
    "a file that is gone": (Stage(BEAT + "open('/gone/panel.json')"), "file-missing", "/gone/panel.json"),
    "a missing library": (Stage(BEAT + "import no_such_library"), "missing-library", "No module named"),
    "a missing extra": (
        Stage(BEAT + "raise ModuleNotFoundError('no torch', name='torch.nn')"),
        "missing-library",
        "pip install 'seawall[train]'",
    ),
    "a bug": (Stage(BEAT + "{}['column']"), "bug", "KeyError: 'column'"),
    "a bug, wrapped around a refused allocation": (
        Stage(BEAT + "import numpy\nnumpy.ones(900 << 17)", strongest="data limit"),
        "memory-numpy",
        "at line 3 of injected.py",
    ),
    "an exit without a result": (Stage(BEAT + "os._exit(3)"), "exit", "exit code 3, nothing was printed"),
}


@pytest.mark.parametrize("name", DEATHS)
def test_a_death_is_told_from_its_evidence(name: str, tmp_path: Path) -> None:
    stage, cause, said = DEATHS[name]

    error = end_of(stage, tmp_path / "run")

    assert error.cause == cause
    assert said in whole_text(error)
    check_screen(error, stage)
    assert error.exit_code == (2 if cause == "missing-library" else 5)


def whole_text(error: SeawallError) -> str:
    return "\n".join([str(error), error.headline, *(text for _, text in error.rows)])


def check_screen(error: SeawallError, stage: Stage) -> None:
    """Every screen: unit, sub-step, marks, largest claim, fence, who else was there, what to change; no traceback."""
    rows = rows_of(error)
    assert error.headline.startswith("train/fold_02: ")
    assert rows["Where"].startswith("in sub-step 'epoch 3: train' (12 of 40 done)")
    assert rows["Memory"].startswith("high-water mark ")
    assert f"{stage.private_mib:.0f}" in rows["Memory"] or stage.private_mib < 100
    assert rows["Largest claim"].startswith("kept rows (")
    assert "limit" in rows["Fence"] or "meter only" in rows["Fence"]
    assert "available" in rows["Other processes"]
    assert rows["What to change"]
    assert "Traceback" not in whole_text(error)
    assert str(error).endswith("The same command continues: seawall run config.yaml --memory 2GiB")
    assert len(error.rows) <= 12


@pytest.fixture
def no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the last word to the kernel: the meter would often be first."""
    monkeypatch.setattr(guard, "STOP_SHARE", 1e9)


@pytest.mark.cgroup
@pytest.mark.usefixtures("no_stop")
@pytest.mark.skipif(not HAS_CGROUP, reason=probe()[0])
def test_a_kill_in_its_own_cgroup_names_its_own_limit(tmp_path: Path) -> None:
    error = end_of(Stage(BEAT + "x = bytearray(900 << 20)"), tmp_path / "run")

    assert error.cause == "oom-own"
    assert rows_of(error)["What happened"] == "it reached the limit of its own memory cgroup (300 MiB)"
    assert isinstance(error, StageError)


LOWERED = """
from seawall.budget.cgroup import own_group
group = own_group()
(group.folder / ("memory.limit_in_bytes" if group.version == 1 else "memory.max")).write_text(str(150 << 20))
x = bytearray(200 << 20)
"""
"""Somebody else, played by the stage itself, takes half of its limit away."""


@pytest.mark.cgroup
@pytest.mark.usefixtures("no_stop")
@pytest.mark.skipif(not HAS_CGROUP, reason=probe()[0])
def test_a_limit_that_was_lowered_meanwhile_is_told_from_the_one_that_was_planned(tmp_path: Path) -> None:
    error = end_of(Stage(BEAT + LOWERED), tmp_path / "run")

    told = "150 MiB, lowered from 300 MiB by somebody else"
    assert error.cause == "oom-lowered"
    assert rows_of(error)["What happened"] == f"it reached the limit of its own memory cgroup ({told} while it ran)"
    assert rows_of(error)["Fence"].endswith(told)
    assert "Declare more memory" not in whole_text(error)


@pytest.mark.cgroup
@pytest.mark.usefixtures("no_stop")
@pytest.mark.skipif(not probe()[1].startswith("user scope: yes"), reason=probe()[1])
@pytest.mark.parametrize("wait", ["", "time.sleep(1); "], ids=["at once", "after the scope was found"])
def test_a_kill_in_a_scope_names_the_limit_of_the_scope(tmp_path: Path, wait: str) -> None:
    error = end_of(Stage(BEAT + wait + "x = bytearray(900 << 20)", strongest="user scope"), tmp_path / "run")

    assert error.cause == "oom-own", rows_of(error)
    assert "300 MiB" in rows_of(error)["What happened"]
    assert rows_of(error)["Fence"] == "scope of the user's service manager, limit 300 MiB"


OUTER = """
import sys
from pathlib import Path
from seawall.errors import SeawallError
from tests.pipeline.injection import Stage, run_stage
from seawall.budget import guard
guard.STOP_SHARE = 1e9
try:
    run_stage(Stage({body!r}, room_mib=4000, strongest={strongest!r}, private_mib={private}), Path({folder!r}))
except SeawallError as error:
    print(error.cause, "|", dict(error.rows).get("What happened"))
"""


@pytest.mark.cgroup
@pytest.mark.parametrize("strongest", ["cgroup", "data limit"])
def test_a_kill_by_the_container_around_it_names_that_containers_limit(tmp_path: Path, strongest: str) -> None:
    script = OUTER.format(
        body=BEAT + "x = bytearray(900 << 20)", strongest=strongest, folder=str(tmp_path / "run"), private=2000
    )
    with memory_cgroup(160 * MIB) as container:
        ended = container.run([sys.executable, "-c", script], timeout=60, cwd=ROOT)

    cause, _, words = ended.stdout.strip().partition(" | ")
    assert cause == "oom-container", ended.stdout + ended.stderr
    assert "reached its limit of 160 MiB" in words


def test_a_kill_by_a_full_machine_is_told_from_its_counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vmstat = tmp_path / "proc/vmstat"
    vmstat.parent.mkdir()
    vmstat.write_text("oom_kill 4\n")
    monkeypatch.setattr(fence, "count_kills", lambda groups: count_kills([], tmp_path))

    stage = Stage(BEAT + f"open({str(vmstat)!r}, 'w').write('oom_kill 5\\n'); os.kill(os.getpid(), 9)")
    error = end_of(Stage(stage.body, strongest="meter only"), tmp_path / "run")

    assert error.cause == "oom-machine"
    assert "others share that counter" in rows_of(error)["What happened"]


def test_a_machine_kill_in_an_own_cgroup_is_one_where_no_limit_was_hit() -> None:
    level = LevelCount("/own", 300 * MIB, 0, 7, 100 * MIB)
    outer = LevelCount("/", None, 0, 0, None)
    before = KillCounts((level, outer), 4)
    after = KillCounts((LevelCount("/own", 300 * MIB, 1, 7, 100 * MIB), outer), 5)

    killer = who_killed(before, after, has_own_group=True)

    assert killer is not None
    assert (killer.kind, killer.is_certain) == ("machine", True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_tmpfs(tmp_path / "disk", "size=1m") as folder:
        yield folder


def test_a_full_disk_under_the_run_folder_is_still_explained(small_disk: Path) -> None:
    body = (
        BEAT
        + "with open(request['heartbeat'] + '.big', 'wb', buffering=0) as f:\n    while True: f.write(bytes(65536))"
    )
    error = end_of(Stage(body), small_disk / "run")

    assert error.cause == "disk-full"
    check_screen(error, Stage(body))


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    with mounted_tmpfs(tmp_path / "disk", "size=1m,ro") as folder:
        error = end_of(Stage(BEAT + f"open({str(folder / 'table.parquet')!r}, 'wb')"), tmp_path / "run")

    assert error.cause == "read-only"
    assert str(folder / "table.parquet") in whole_text(error)


def test_a_used_up_quota_is_told_from_a_full_disk(tmp_path: Path) -> None:
    with mounted_tmpfs(tmp_path / "disk", "size=64m,usrquota,usrquota_block_hardlimit=1m") as folder:
        folder.chmod(0o777)
        body = BEAT + f"os.setuid(65534)\nopen({str(folder / 'x')!r}, 'wb').write(bytes(8 << 20))"
        error = end_of(Stage(body), tmp_path / "run")

    assert error.cause == "quota"


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.EDQUOT, "quota"),
        (errno.ENOSPC, "disk-full"),
        (errno.EROFS, "read-only"),
        (errno.EMFILE, "too-many-files"),
    ],
)
def test_an_error_number_has_its_own_cause(number: int, cause: str) -> None:
    assert cause_of_exception(OSError(number, "")) == cause


def test_the_whole_traceback_of_a_bug_is_in_the_file_the_screen_names(tmp_path: Path) -> None:
    error = end_of(Stage(BEAT + "{}['column']"), tmp_path / "run")

    log = tmp_path / "run" / "crash.txt"
    assert str(log) in rows_of(error)["What happened"]
    assert "Traceback (most recent call last)" in log.read_text()
    assert "in <module>" in log.read_text()


def test_an_error_of_ours_goes_through_as_it_is(tmp_path: Path) -> None:
    body = "from seawall.errors import ConfigError\nraise ConfigError('train.target', 'unknown', found='x')"

    error = end_of(Stage(body), tmp_path / "run")

    assert isinstance(error, ConfigError)
    assert (str(error), error.rows) == ("train.target: unknown, found x.", ())


def test_a_stage_that_ends_well_leaves_no_trace_of_its_attempt(tmp_path: Path) -> None:
    result = run_stage(Stage(BEAT + "time.sleep(0.2)"), tmp_path / "run")

    assert result["num_shrinks"] == 0
    assert result["read_bytes"] is not None
    left = sorted(path.name for path in (tmp_path / "run").iterdir() if path.name != ".injected")
    assert left == ["memory.csv"]


def test_the_screen_a_user_sees_fits_a_terminal(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom unittest import mock\nfrom seawall.cli import main\n"
        "from tests.pipeline.injection import Stage, end_of\n"
        f"error = end_of(Stage({(BEAT + 'os.kill(os.getpid(), 9)')!r}), Path({str(tmp_path / 'run')!r}))\n"
        "main._fail(error)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT, env=_terminal()
    )

    assert ended.returncode == 5
    lines = ended.stderr.splitlines()
    assert len(lines) <= 24, ended.stderr
    assert "train/fold_02: killed by signal 9" in lines[0]
    assert any(line.strip().startswith("Largest claim") for line in lines)


def _terminal() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "100", "TERM": "dumb"}
