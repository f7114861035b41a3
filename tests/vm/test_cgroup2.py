"""Fences, kills and their explanations on a real kernel with cgroup version 2, as root and in a user's own scopes.

``make test-cgroup2 KERNEL=...`` runs it; the kernel must have NVMe and ext4 built in.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.vm.machine import Machine, make_machine

KERNEL = os.environ.get("SEAWALL_TEST_KERNEL", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not KERNEL, reason="SEAWALL_TEST_KERNEL names no kernel to start"),
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can fill a disk image"),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="there is no qemu-system-x86_64"),
]

PYTEST = f"{sys.executable} -m pytest -rs --timeout=0 -m 'not slow'"
INSIDE_SECONDS = 3000.0


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return make_machine(tmp_path_factory.mktemp("machine"), Path(KERNEL))


def test_memory_is_fenced_and_deaths_are_told_on_version_2_as_root(machine: Machine) -> None:
    stages = " ".join(f"tests/pipeline/test_{name}.py" for name in ("causes", "pressure", "supervise"))
    command = f"{PYTEST} tests/budget tests/join/test_container.py {stages}"

    code, printed = machine.run(command, as_root=True, timeout=INSIDE_SECONDS)

    print(printed[-3000:])
    assert code == 0
    assert "no cgroup of its own here" not in printed, "a stage has its own group there"


def test_a_user_gets_a_scope_and_its_kills_are_told(machine: Machine) -> None:
    tests = "tests/budget/test_scope.py tests/pipeline/test_causes.py"

    code, printed = machine.run(f"{PYTEST} {tests}", as_root=False, timeout=INSIDE_SECONDS)

    print(printed[-3000:])
    assert code == 0
    assert "user scope: no" not in printed


def test_every_stage_of_a_user_runs_in_a_scope_and_under_its_plan(machine: Machine) -> None:
    """The kernel there gives huge pages to everybody, which would break the plans of small stages."""
    look = "grep -rh '\"fence\"' ~/dose --include=run.json"
    command = f"{PYTEST} -s tests/e2e/test_memory.py -k dose --basetemp ~/dose && {look}"

    code, printed = machine.run(command, as_root=False, timeout=INSIDE_SECONDS)

    print(printed[-3000:])
    fences = [line for line in printed.splitlines() if line.strip().startswith('"fence": ')]
    assert code == 0
    assert len(fences) >= 9
    assert all("scope of the user's service manager" in line for line in fences)
