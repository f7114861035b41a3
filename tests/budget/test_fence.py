"""Fences: real ones where this machine allows them, and version 2 on a tree of files."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.budget import fence
from seawall.budget.cgroup import own_group
from seawall.budget.claims import Claim, StagePlan
from seawall.budget.explain import ChildEnd, explain_exit
from seawall.budget.fence import Fence, data_limit, open_fence, probe
from seawall.budget.kills import who_killed
from seawall.budget.meter import HighWater
from seawall.units import GIB, MIB
from tests.budget.trees import V2_MOUNTS, v2_group, write_tree
from tests.cgroups import memory_cgroup

CHILD = """
import sys
from seawall.budget.fence import enter
held = enter(sys.argv[1])
{body}
print(held, flush=True)
"""
TOUCH = "x = bytearray({mib} << 20); x[::4096] = b'1' * len(x[::4096])"


def run_behind(ticket: str, body: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD.format(body=body), ticket]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def own_cgroup_fence() -> Fence:
    opened = open_fence(96 * MIB, GIB)
    if opened.kind != "cgroup":
        pytest.skip(f"no cgroup of its own here: {probe()[0]}")
    return opened


@pytest.mark.cgroup
def test_a_child_over_its_cgroup_is_killed_alone_and_explained(own_cgroup_fence: Fence) -> None:
    before = own_cgroup_fence.kills()
    child = run_behind(own_cgroup_fence.ticket(), TOUCH.format(mib=200))
    end = ChildEnd(
        unit="join",
        plan=StagePlan(stage="join", private=(Claim("table", 60 * MIB, "rows x columns"),)),
        returncode=child.returncode,
        killer=who_killed(before, own_cgroup_fence.kills(), has_own_group=True),
        heartbeat={},
        high_water=HighWater(),
        declared_bytes=128 * MIB,
        fence=own_cgroup_fence.describe(),
    )
    own_cgroup_fence.close()

    text = str(explain_exit(end, command="seawall join"))

    assert child.returncode == -9
    assert text.startswith("join: killed by the kernel for memory")
    assert "limit 96.0 MiB" in text
    assert own_cgroup_fence.group is not None
    assert not own_cgroup_fence.group.folder.exists()


@pytest.mark.cgroup
def test_a_child_under_its_cgroup_lives_and_its_peak_is_known(own_cgroup_fence: Fence) -> None:
    child = run_behind(own_cgroup_fence.ticket(), TOUCH.format(mib=60))
    peak_bytes, kills = own_cgroup_fence.peak_bytes(), own_cgroup_fence.kills()
    own_cgroup_fence.close()

    assert (child.returncode, child.stdout) == (0, "cgroup\n")
    assert peak_bytes is not None
    assert 60 * MIB <= peak_bytes <= 96 * MIB
    assert kills.levels[0].kills == 0


@pytest.mark.cgroup
def test_a_child_in_a_cgroup_has_no_data_limit_and_dies_first(own_cgroup_fence: Fence) -> None:
    body = (
        "import resource; print(resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY,"
        " open('/proc/self/oom_score_adj').read().strip())"
    )
    child = run_behind(own_cgroup_fence.ticket(), body)
    own_cgroup_fence.close()

    assert child.stdout.splitlines()[0] == "True 1000"


@pytest.mark.cgroup
def test_groups_left_by_killed_runs_are_swept_and_those_of_live_ones_are_kept(own_cgroup_fence: Fence) -> None:
    assert own_cgroup_fence.group is not None
    around = own_cgroup_fence.group.folder.parent
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    left = around / f"seawall-{ended.pid}-0"
    left.mkdir()

    open_fence(96 * MIB, GIB).close()

    assert not left.exists()
    assert own_cgroup_fence.group.folder.exists()
    own_cgroup_fence.close()


def test_a_too_large_array_behind_a_data_limit_is_a_memory_error() -> None:
    opened = open_fence(GIB, data_limit(100 * MIB), strongest="data limit")

    small = run_behind(opened.ticket(), "import numpy; x = numpy.ones(100 << 17)")
    large = run_behind(opened.ticket(), "import numpy; x = numpy.ones(600 << 17)")

    assert opened.kind == "data limit"
    assert (small.returncode, small.stdout) == (0, "data limit\n")
    assert large.returncode == 1
    assert "MemoryError" in large.stderr.splitlines()[-1]


def test_a_data_limit_lets_a_large_file_be_mapped(tmp_path: Path) -> None:
    mapped = tmp_path / "mapped"
    with mapped.open("wb") as file:
        file.truncate(GIB)
    opened = open_fence(GIB, 64 * MIB, strongest="data limit")

    child = run_behind(
        opened.ticket(),
        f"import mmap; f = open({str(mapped)!r}, 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); m[-1]",
    )

    assert child.returncode == 0, child.stderr


def test_meter_only_sets_no_limit_but_lets_the_child_die_first() -> None:
    opened = open_fence(MIB, MIB, strongest="meter only")

    child = run_behind(
        opened.ticket(), TOUCH.format(mib=30) + "; print(open('/proc/self/oom_score_adj').read().strip())"
    )

    assert child.stdout == "1000\nmeter only\n"
    assert (opened.peak_bytes(), opened.charged()) == (None, None)
    opened.close()


def test_a_cgroup_that_refuses_the_child_is_replaced_by_the_data_limit(tmp_path: Path) -> None:
    ticket = json.dumps({"kind": "cgroup", "procs": str(tmp_path / "gone/cgroup.procs"), "data_limit_bytes": GIB})

    assert run_behind(ticket, "").stdout == "data limit\n"


def v2_machine(root: Path, *, control: str) -> Path:
    folder = "sys/fs/cgroup/app"
    files = {"proc/self/cgroup": "0::/app\n", "proc/self/mountinfo": V2_MOUNTS, **v2_group(folder)}
    return write_tree(root, {**files, f"{folder}/cgroup.subtree_control": control})


def test_version_2_sets_limit_and_no_swap_where_memory_is_handed_down(tmp_path: Path) -> None:
    opened = open_fence(64 * MIB, GIB, root=v2_machine(tmp_path, control="cpu memory pids\n"))

    assert opened.kind == "cgroup"
    assert opened.group is not None
    assert opened.group.folder.parent == tmp_path / "sys/fs/cgroup/app"
    assert (opened.group.folder / "memory.max").read_text() == str(64 * MIB)
    assert (opened.group.folder / "memory.swap.max").read_text() == "0"
    assert json.loads(opened.ticket())["procs"] == str(opened.group.folder / "cgroup.procs")


def test_version_2_hands_memory_down_where_it_may(tmp_path: Path) -> None:
    root = v2_machine(tmp_path, control="pids\n")

    open_fence(64 * MIB, GIB, root=root)

    assert (root / "sys/fs/cgroup/app/cgroup.subtree_control").read_text() == "+memory"


def test_version_2_that_may_not_hand_memory_down_falls_through(tmp_path: Path) -> None:
    root = v2_machine(tmp_path, control="")
    control = root / "sys/fs/cgroup/app/cgroup.subtree_control"
    control.unlink()
    control.mkdir()  # reading and writing fail, as they do for a group with processes of its own

    opened = open_fence(64 * MIB, GIB, root=root)

    assert opened.kind == "data limit"
    assert opened.kills().levels[0].kills == 2
    assert "cgroup: no, version 2" in probe(root)[0]


def test_without_a_cgroup_counter_the_machines_own_is_read(tmp_path: Path) -> None:
    opened = open_fence(MIB, MIB, strongest="meter only", root=tmp_path)

    counts = opened.kills()
    assert counts.levels == ()
    assert counts.machine is None or counts.machine >= 0


def test_a_system_without_proc_has_the_meter_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fence, "_data_limit_works", lambda: False)

    assert open_fence(MIB, MIB, root=tmp_path).kind == "meter only"
    assert probe(tmp_path)[2].startswith("data limit: no")


def test_probe_says_a_line_for_each_kind_and_leaves_nothing_behind() -> None:
    lines = probe()

    assert [line.partition(":")[0] for line in lines] == ["cgroup", "user scope", "data limit", "meter only"]
    around = own_group()
    if around is not None:
        assert not list(around.folder.glob(f"seawall-{os.getpid()}-*"))


@pytest.mark.cgroup
def test_a_fence_works_inside_a_small_container_too() -> None:
    script = (
        "import subprocess, sys\n"
        "from seawall.budget.fence import open_fence; from seawall.budget.limits import find_budget\n"
        "fence = open_fence(48 << 20, 1 << 30); child = 'import sys; from seawall.budget.fence import enter;"
        " enter(sys.argv[1]); x = bytearray(90 << 20); x[::4096] = bytes(len(x[::4096]))'\n"
        "ended = subprocess.run([sys.executable, '-c', child, fence.ticket()])\n"
        "print(fence.kind, ended.returncode, fence.kills().levels[0].kills, find_budget(None).bytes >> 20)\n"
        "fence.close()"
    )
    with memory_cgroup(160 * MIB) as container:
        ended = container.run([sys.executable, "-c", script], timeout=60)

    assert ended.returncode == 0, ended.stderr
    if container.group.version == 2:
        assert ended.stdout.startswith("data limit "), "the kernel hands no memory down from a group with processes"
        return
    kind, returncode, kills, budget_mib = ended.stdout.split()
    assert (kind, returncode, kills) == ("cgroup", "-9", "1")
    assert 100 <= int(budget_mib) < 160
    assert ended.oom_kills == 0


def test_the_limits_of_this_process_are_left_alone_by_opening_a_fence() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    open_fence(MIB, MIB, strongest="data limit").close()

    assert resource.getrlimit(resource.RLIMIT_DATA) == before
