"""Whose limit the kernel enforced, on version 2 as documented; the real ones of version 1 are in test_causes."""

from pathlib import Path

from seawall.budget.cgroup import MemoryGroup, own_group
from seawall.budget.kills import KillCounts, again, count_kills, who_killed
from seawall.budget.limits import find_budget
from seawall.units import GIB, MIB
from tests.budget.trees import V2_MOUNTS, v2_group, write_tree


def nested(root: Path, *, own: str = "max", pod: str = "max", high: str = "max", held: int = 0) -> Path:
    """A container in a pod in a node's slice, every level visible."""
    files = {"proc/self/cgroup": "0::/pods/pod1/app\n", "proc/self/mountinfo": V2_MOUNTS}
    files |= v2_group("sys/fs/cgroup/pods/pod1/app", maximum=own, held=held)
    files |= v2_group("sys/fs/cgroup/pods/pod1", maximum=pod, high=high, held=2 * held)
    files |= v2_group("sys/fs/cgroup/pods")
    return write_tree(root, files)


def groups(root: Path) -> list[MemoryGroup]:
    group = own_group(root)
    assert group is not None
    return group.with_ancestors()


def test_the_smallest_of_nested_limits_wins_less_what_is_held_at_its_level(tmp_path: Path) -> None:
    root = nested(tmp_path, own=str(4 * GIB), pod=str(2 * GIB), held=300 * MIB)

    budget = find_budget(None, root=root)

    assert budget.bytes == 2 * GIB - 600 * MIB
    assert "memory.max of /pods/pod1" in budget.rule


def test_max_is_no_limit_and_high_is_one(tmp_path: Path) -> None:
    unlimited = find_budget(None, root=nested(tmp_path / "a"))
    throttled = find_budget(None, root=nested(tmp_path / "b", high=str(1 * GIB)))

    assert unlimited.rule == "80 % of available memory"
    assert GIB - MIB < throttled.bytes < GIB  # less the kernel memory that is held there
    assert "memory.high of /pods/pod1" in throttled.rule


def test_a_group_that_is_killed_whole_says_so(tmp_path: Path) -> None:
    root = nested(tmp_path)
    write_tree(root, {"sys/fs/cgroup/pods/pod1/app/memory.oom.group": "1\n"})

    assert [group.is_killed_whole() for group in groups(root)[:2]] == [True, False]


def events(root: Path, folder: str, *, oom: int, kills: int, local_oom: int) -> None:
    write_tree(
        root,
        {
            f"sys/fs/cgroup/{folder}/memory.events": f"low 0\nhigh 0\nmax 9\noom {oom}\noom_kill {kills}\n",
            f"sys/fs/cgroup/{folder}/memory.events.local": f"low 0\nhigh 0\nmax 9\noom {local_oom}\noom_kill {kills}\n",
        },
    )


def count(root: Path) -> KillCounts:
    return count_kills(groups(root), root)


def test_version_2_tells_the_level_whose_own_limit_was_hit(tmp_path: Path) -> None:
    root = nested(tmp_path, own=str(4 * GIB), pod=str(2 * GIB))
    events(root, "pods/pod1/app", oom=0, kills=0, local_oom=0)
    events(root, "pods/pod1", oom=0, kills=0, local_oom=0)
    before = count(root)
    events(root, "pods/pod1/app", oom=0, kills=1, local_oom=0)
    events(root, "pods/pod1", oom=1, kills=1, local_oom=1)

    killer = who_killed(before, count(root), has_own_group=True)

    assert killer is not None
    assert (killer.kind, killer.is_certain) == ("container", True)
    assert "pods/pod1 reached its limit of 2.0 GiB" in killer.words


def test_version_2_without_a_limit_hit_means_the_machine(tmp_path: Path) -> None:
    root = nested(tmp_path, own=str(4 * GIB))
    events(root, "pods/pod1/app", oom=0, kills=0, local_oom=0)
    before = count(root)
    events(root, "pods/pod1/app", oom=0, kills=1, local_oom=0)

    killer = who_killed(before, count(root), has_own_group=True)

    assert killer is not None
    assert killer.kind == "machine"


def test_counters_survive_a_record_and_are_read_again_from_it(tmp_path: Path) -> None:
    root = nested(tmp_path)
    before = count(root)

    assert KillCounts.from_record(before.record()) == KillCounts(tuple(before.levels), before.machine)
    assert [level.kills for level in again(before, root).levels] == [level.kills for level in before.levels]


def test_nobody_is_blamed_where_nothing_moved(tmp_path: Path) -> None:
    root = nested(tmp_path)

    assert who_killed(count(root), count(root), has_own_group=True) is None
