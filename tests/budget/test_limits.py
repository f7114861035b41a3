"""Where the limit comes from, on trees of machines that are not this one."""

from pathlib import Path

import pytest

from seawall.budget.cgroup import own_group
from seawall.budget.limits import find_budget
from seawall.errors import ConfigError
from seawall.units import GIB, MIB
from tests.budget.trees import UNLIMITED, V1_MOUNTS, V2_MOUNTS, v1_group, v2_group, write_tree

V1 = "sys/fs/cgroup/memory"
V2 = "sys/fs/cgroup"


def v1_tree(root: Path, *, own: str = "/jobs/a", mounts: str = V1_MOUNTS, groups: dict[str, str]) -> Path:
    cgroup = f"9:name=systemd:/\n4:memory:{own}\n1:cpu:/\n0::/\n"
    return write_tree(root, {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mounts, **groups})


def v2_tree(root: Path, *, own: str, mounts: str = V2_MOUNTS, groups: dict[str, str]) -> Path:
    return write_tree(root, {"proc/self/cgroup": f"0::{own}\n", "proc/self/mountinfo": mounts, **groups})


def test_the_flag_wins_over_the_config_and_the_machine(tmp_path: Path) -> None:
    root = v1_tree(tmp_path, groups=v1_group(V1))

    budget = find_budget("2GiB", config_value="3GiB", root=root)

    assert (budget.bytes, budget.rule, budget.warning) == (2 * GIB, "--memory", "")
    assert dict(budget.candidates) == {
        "--memory": 2 * GIB,
        "memory.budget": 3 * GIB,
        "80 % of available memory": 8 * GIB,
    }


def test_the_config_wins_over_the_machine(tmp_path: Path) -> None:
    root = v1_tree(tmp_path, groups=v1_group(V1))

    assert find_budget(None, config_value=512 * MIB, root=root).rule == "memory.budget"


def test_without_any_limit_a_fifth_of_available_memory_is_left_to_others(tmp_path: Path) -> None:
    root = v1_tree(tmp_path, groups={**v1_group(V1), **v1_group(f"{V1}/jobs"), **v1_group(f"{V1}/jobs/a")})

    budget = find_budget(None, root=root)

    assert (budget.bytes, budget.rule) == (8 * GIB, "80 % of available memory")


def test_version_1_takes_the_smallest_room_of_all_ancestors_without_page_cache(tmp_path: Path) -> None:
    groups = {
        **v1_group(V1, limit=UNLIMITED, held=9 * GIB),
        **v1_group(f"{V1}/jobs", limit=3 * GIB, held=2 * GIB),
        **v1_group(f"{V1}/jobs/a", limit=2 * GIB, inherited=2 * GIB, held=100 * MIB),
    }

    budget = find_budget(None, root=v1_tree(tmp_path, groups=groups))

    assert budget.bytes == 1 * GIB
    assert budget.rule == "container limit 3.0 GiB (memory.limit_in_bytes of /jobs) less 2.0 GiB held there by others"


def test_version_1_sees_a_limit_above_its_container_through_the_inherited_one(tmp_path: Path) -> None:
    groups = v1_group(V1, limit=UNLIMITED, inherited=1 * GIB, held=256 * MIB)
    root = v1_tree(tmp_path, own="/docker/0123", groups=groups)

    budget = find_budget(None, root=root)

    assert budget.bytes == 768 * MIB
    assert "hierarchical_memory_limit of /" in budget.rule


def test_version_2_takes_memory_high_of_an_ancestor_where_it_is_smallest(tmp_path: Path) -> None:
    groups = {
        f"{V2}/memory.stat": "anon 123456789\n",
        **v2_group(f"{V2}/user.slice", maximum=str(6 * GIB), high=str(2 * GIB), held=500 * MIB),
        **v2_group(f"{V2}/user.slice/run.scope", maximum=str(4 * GIB), held=10 * MIB),
    }

    budget = find_budget(None, root=v2_tree(tmp_path, own="/user.slice/run.scope", groups=groups))

    assert budget.bytes == 2 * GIB - 500 * MIB
    assert "memory.high of /user.slice" in budget.rule


def test_version_2_nested_groups_that_all_say_max_set_no_limit(tmp_path: Path) -> None:
    groups = {**v2_group(f"{V2}/a"), **v2_group(f"{V2}/a/b"), **v2_group(f"{V2}/a/b/c")}

    budget = find_budget(None, root=v2_tree(tmp_path, own="/a/b/c", groups=groups))

    assert budget.candidates == (("80 % of available memory", 8 * GIB),)


def test_version_2_on_an_old_kernel_adds_up_kernel_memory_from_its_parts(tmp_path: Path) -> None:
    stat = "anon 100\nshmem 20\nslab_unreclaimable 3\nslab_reclaimable 1000000\nkernel_stack 4\npagetables 5\nsock 6\n"
    groups = {f"{V2}/a/memory.max": str(GIB), f"{V2}/a/memory.stat": stat}
    group = own_group(v2_tree(tmp_path, own="/a", groups=groups))

    assert group is not None
    assert group.held_bytes() == 138


def test_with_both_versions_mounted_the_one_that_lists_memory_counts(tmp_path: Path) -> None:
    limits = {**v1_group(f"{V1}/jobs/a", limit=1 * GIB), "sys/fs/cgroup/unified/memory.max": "1\n"}

    first = own_group(v1_tree(tmp_path / "v1", groups=limits))
    hybrid = v2_tree(tmp_path / "v2", own="/x", mounts=V1_MOUNTS, groups=v2_group("sys/fs/cgroup/unified/x"))
    second = own_group(hybrid)

    assert first is not None
    assert second is not None
    assert (first.version, first.folder.name) == (1, "a")
    assert (second.version, second.folder) == (2, hybrid / "sys/fs/cgroup/unified/x")


@pytest.mark.parametrize("own", ["/docker/0123", "/../../outside", "/"])
def test_a_container_whose_path_is_told_from_outside_reads_its_own_mount(tmp_path: Path, own: str) -> None:
    groups = v2_group(V2, maximum=str(2 * GIB), held=1 * GIB)

    budget = find_budget(None, root=v2_tree(tmp_path, own=own, groups=groups))

    assert budget.bytes == 1 * GIB
    assert budget.rule == "container limit 2.0 GiB (memory.max of /) less 1.0 GiB held there by others"


def test_a_mount_that_shows_a_part_of_the_tree_is_read_at_the_right_place(tmp_path: Path) -> None:
    mounts = "35 31 0:32 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    groups = {**v1_group(V1, limit=5 * GIB), **v1_group(f"{V1}/inner", limit=1 * GIB)}

    budget = find_budget(None, root=v1_tree(tmp_path, own="/docker/0123/inner", mounts=mounts, groups=groups))

    assert budget.bytes == 1 * GIB
    assert "memory.limit_in_bytes of /inner" in budget.rule


def test_a_mount_point_with_a_space_is_found(tmp_path: Path) -> None:
    mounts = "35 31 0:32 / /odd\\040place ro - cgroup2 none rw\n"

    group = own_group(v2_tree(tmp_path, own="/a", mounts=mounts, groups=v2_group("odd place/a")))

    assert group is not None
    assert group.folder == tmp_path / "odd place/a"


def test_a_machine_without_cgroups_has_available_memory_alone(tmp_path: Path) -> None:
    budget = find_budget(None, root=write_tree(tmp_path, {}))

    assert (budget.bytes, len(budget.candidates)) == (8 * GIB, 1)


def test_a_machine_without_proc_asks_psutil(tmp_path: Path) -> None:
    assert find_budget(None, root=tmp_path).bytes > 0


def test_a_container_that_is_already_full_leaves_nothing(tmp_path: Path) -> None:
    root = v2_tree(tmp_path, own="/a", groups=v2_group(f"{V2}/a", maximum=str(GIB), held=2 * GIB))

    assert find_budget(None, root=root).bytes == 0


def test_what_this_process_holds_counts_once_and_not_as_somebody_elses(tmp_path: Path) -> None:
    groups = v2_group(f"{V2}/a", maximum=str(200 * MIB), held=36 * MIB)
    status = f"Name:\tpython\nRssAnon:\t   {28 * 1024} kB\nRssFile:\t   15000 kB\nRssShmem:\t   1024 kB\n"
    root = v2_tree(tmp_path, own="/a", groups={**groups, "proc/self/status": status})

    budget = find_budget(None, root=root)

    assert (budget.bytes, budget.own_bytes) == (193 * MIB, 29 * MIB)
    assert budget.rule.endswith("less 7.0 MiB held there by others")
    assert find_budget("193MiB", root=root).warning == ""
    assert find_budget("195MiB", root=root).warning == "", "a waiting shell is no reason to warn"
    assert "more than the 193 MiB" in find_budget("196MiB", root=root).warning


def test_a_declared_budget_above_the_container_is_taken_with_a_warning(tmp_path: Path) -> None:
    root = v2_tree(tmp_path, own="/a", groups=v2_group(f"{V2}/a", maximum=str(2 * GIB), held=512 * MIB))

    budget = find_budget("4GiB", root=root)

    assert budget.bytes == 4 * GIB
    assert budget.warning.startswith(
        "the declared 4.0 GiB is more than the 1.5 GiB there is room for (container limit 2.0"
    )


def test_a_declared_budget_above_the_machine_is_taken_with_a_warning(tmp_path: Path) -> None:
    budget = find_budget("11GiB", root=write_tree(tmp_path, {}))

    assert "10.0 GiB there is room for (available memory)" in budget.warning


def test_a_declared_budget_a_little_above_the_room_is_told_apart_from_it(tmp_path: Path) -> None:
    budget = find_budget("10243MiB", root=write_tree(tmp_path, {}))

    assert budget.warning.startswith("the declared 10,243 MiB is more than the 10,240 MiB there is room for")


@pytest.mark.parametrize(("flag", "config", "where"), [("2GB", None, "--memory"), (None, "many", "memory.budget")])
def test_a_size_that_cannot_be_read_names_where_it_was_written(
    tmp_path: Path, flag: str | None, config: str | None, where: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{where}: "):
        find_budget(flag, config_value=config, root=write_tree(tmp_path, {}))


def test_this_machine_gives_a_budget() -> None:
    assert find_budget(None).bytes > 0
