"""The judge itself: a real memory cgroup holds a command to its limit."""

import subprocess
import sys

import pytest

from seawall.units import MIB
from tests.cgroups import memory_cgroup

pytestmark = pytest.mark.cgroup

TOUCH = "import sys; x = bytearray(int(sys.argv[1]) << 20); x[::4096] = bytes(len(x[::4096])); print('done')"


def test_a_command_under_the_limit_lives_and_one_over_it_is_killed() -> None:
    with memory_cgroup(96 * MIB) as container:
        # In this order: before Linux 6.12 the peak of a version 2 group cannot be set back.
        under = container.run([sys.executable, "-c", TOUCH, "60"], timeout=60)
        over = container.run([sys.executable, "-c", TOUCH, "120"], timeout=60)

    assert (over.returncode, over.oom_kills, over.stdout) == (-9, 1, "")
    assert (under.returncode, under.oom_kills, under.stdout) == (0, 0, "done\n")
    assert 60 * MIB <= under.peak_bytes <= 90 * MIB < over.peak_bytes <= 96 * MIB


def test_a_command_that_takes_too_long_is_stopped_and_the_cgroup_removed() -> None:
    with memory_cgroup(96 * MIB) as container, pytest.raises(subprocess.TimeoutExpired):
        container.run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.5)

    assert not container.group.folder.exists()
