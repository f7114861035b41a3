"""``seawall doctor``: every limit, which one won, and why there is no stronger fence."""

from seawall.budget.limits import Reserve, find_budget
from seawall.cli.doctor import _lines, look_at_machine
from seawall.units import GIB


def test_doctor_names_every_limit_fence_engine_and_the_temporary_folder() -> None:
    facts = look_at_machine(find_budget("1GiB", config_value="2GiB", reserve=Reserve("1MiB")))
    lines = list(_lines(facts))
    text = "\n".join(f"{name} {value}" for name, value in lines)

    assert facts["budget_bytes"] == GIB
    assert facts["budget_rule"] == "--memory"
    for said in (
        "--memory: 1.0 GiB",
        "memory.budget: 2.0 GiB",
        "80 % of available memory",
        "less a reserve of 1.0 MiB",
    ):
        assert said in text
    assert {line.partition(":")[0] for name, line in lines if name == "fence"} == {
        "cgroup",
        "user scope",
        "data limit",
        "meter only",
    }
    assert facts["engines"]["numpy"]
    assert facts["kernels"] in ("compiled", "NumPy")
    assert "room now" in dict(lines)
    assert ("on a disk" in dict(lines)["temporary"]) != facts["temporary_folder_in_memory"]
    assert "gpu" in dict(lines)


def test_doctor_shows_each_cgroup_level_with_its_limits() -> None:
    facts = look_at_machine(find_budget(None))

    for level in facts["cgroups"]:
        assert level["version"] in (1, 2)
        assert level["held_bytes"] >= 0
