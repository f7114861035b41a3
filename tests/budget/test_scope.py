"""Scopes of a user's service manager, with recorded answers: none has been run on a real one (see docs/memory.md)."""

import os
from pathlib import Path

import pytest

from seawall.budget import fence
from seawall.budget.fence import open_fence, probe
from seawall.budget.scope import scope_command, scope_of, why_no_scope
from seawall.units import GIB, MIB
from tests.budget.trees import V2_MOUNTS, v2_group, write_tree

SLICE = "sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice"


def manager(folder: Path, script: str) -> dict[str, str]:
    """Put a ``systemd-run`` that gives a recorded answer first in the path of a user session."""
    program = folder / "bin" / "systemd-run"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": "/run/user/1000"}


def machine(root: Path, control: str) -> Path:
    """A desktop in version 2: the session's group belongs to root, the manager's slice to the user."""
    session = "sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope"
    return write_tree(
        root,
        {
            "proc/self/cgroup": "0::/user.slice/user-1000.slice/session-2.scope\n",
            "proc/self/mountinfo": V2_MOUNTS,
            **v2_group(session),
            f"{SLICE}/cgroup.subtree_control": control,
        },
    )


IN_SCOPE = "echo 0::/user.slice/user-1000.slice/user@1000.service/app.slice/seawall-1-0.scope"


def test_a_manager_that_has_memory_to_hand_down_gives_a_scope(tmp_path: Path) -> None:
    environment = manager(tmp_path, IN_SCOPE)

    assert why_no_scope(machine(tmp_path / "root", "cpu memory pids\n"), environment) == ""


def test_a_manager_without_memory_takes_the_limit_and_does_nothing_so_it_is_no_fence(tmp_path: Path) -> None:
    environment = manager(tmp_path, IN_SCOPE)

    assert "memory is not handed down" in why_no_scope(machine(tmp_path / "root", "pids\n"), environment)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'Failed to connect to bus: No medium found' >&2; exit 1",
            "refuses (Failed to connect to bus: No",
        ),
        ("exit 4", "refuses (exit code 4)"),
        ("echo 4:memory:/", "memory is not handed down"),
    ],
)
def test_a_manager_that_cannot_is_told_in_its_own_words(tmp_path: Path, script: str, said: str) -> None:
    environment = manager(tmp_path, script)

    assert said in why_no_scope(machine(tmp_path / "root", "memory\n"), environment)


def test_a_machine_without_the_program_or_the_session_is_not_asked(tmp_path: Path) -> None:
    assert why_no_scope(tmp_path, {"PATH": str(tmp_path)}) == "there is no systemd-run"
    environment = manager(tmp_path, "exit 0")
    assert "has no service manager of its own" in why_no_scope(tmp_path, {"PATH": environment["PATH"]})


def test_the_command_runs_under_its_own_pid_with_limit_and_without_swap() -> None:
    first, second = scope_command(64 * MIB), scope_command(64 * MIB)

    assert first[:3] == ["systemd-run", "--user", "--scope"]
    assert f"MemoryMax={64 * MIB}" in first
    assert "MemorySwapMax=0" in first
    assert first[-1] == "--"
    assert first != second  # two stages need two names


def test_a_fence_of_the_manager_stands_between_cgroup_and_data_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence, "why_no_scope", lambda root: "")
    root = machine(tmp_path, "memory\n")

    opened = open_fence(64 * MIB, GIB, strongest="user scope", root=root)

    assert opened.kind == "user scope"
    assert opened.command(["python"])[-2:] == ["--", "python"]
    assert opened.describe() == "scope of the user's service manager, limit 64.0 MiB"
    assert opened.describe("data limit") == ("data limit (RLIMIT_DATA) of 1.0 GiB (the user scope refused the process)")
    assert [line for line in probe(root) if line.startswith("user scope")] == [
        "user scope: yes, from the user's service manager"
    ]
    opened.close()


def test_a_process_in_a_scope_of_ours_is_found_and_another_is_not(tmp_path: Path) -> None:
    root = machine(tmp_path, "memory\n")
    place = f"{SLICE.removeprefix('sys/fs/cgroup')}/seawall-7-0.scope"
    write_tree(root, {"proc/77/cgroup": f"0::{place}\n", **v2_group(f"sys/fs/cgroup{place}", maximum="67108864")})

    found = scope_of(77, root)

    assert found is not None
    assert found.limits_bytes() == [("memory.max", 64 * MIB)]
    write_tree(root, {"proc/78/cgroup": "0::/user.slice/user-1000.slice/session-2.scope\n"})
    assert scope_of(78, root) is None


def test_here_the_probe_says_why_there_is_no_scope() -> None:
    line = next(line for line in probe() if line.startswith("user scope"))

    assert line == "user scope: yes, from the user's service manager" or line.startswith("user scope: no, ")
