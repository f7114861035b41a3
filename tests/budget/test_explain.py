"""Why a stage ended: from counters, signals and the last heartbeat, never from a guess."""

from dataclasses import replace

import pytest

from seawall.budget.causes import CAUSES
from seawall.budget.claims import Claim, StagePlan
from seawall.budget.explain import ChildEnd, explain_exit
from seawall.budget.kills import Killer
from seawall.budget.meter import HighWater
from seawall.budget.neighbours import Neighbours
from seawall.errors import SeawallError
from seawall.units import GIB, MIB

PLAN = StagePlan(
    stage="train",
    private=(
        Claim("libraries", 145 * MIB, "import floor"),
        Claim("activations", 612 * MIB, "batch x lookback x hidden"),
    ),
    reads=(Claim("windows", 300 * MIB, "every page cold"),),
)
OWN = Killer("own", "it reached the limit of its own memory cgroup (992 MiB)", True)
KILLED = ChildEnd(
    unit="train/fold_02",
    plan=PLAN,
    returncode=-9,
    killer=OWN,
    heartbeat={"substep": "epoch 3", "done": 12, "total": 40, "arrow_bytes": 3 * MIB, "python_blocks": 1234567},
    high_water=HighWater(held_bytes=900 * MIB, parent_private_bytes=30 * MIB),
    declared_bytes=1 * GIB,
    fence="own memory cgroup (version 1), limit 992 MiB",
    growth="grew by 3.0 MiB a second over its last 30 s",
    neighbours=Neighbours((("postgres", 2 * GIB), ("java", 300 * MIB)), 500 * MIB),
)


def explained(**changes: object) -> SeawallError:
    return explain_exit(replace(KILLED, **changes), command="seawall run config.yaml")  # type: ignore[arg-type]


def test_a_kill_for_memory_tells_everything_that_is_known() -> None:
    error = explained()

    assert str(error) == (
        "train/fold_02: killed by the kernel for memory, at the stage's own limit, in sub-step 'epoch 3'"
        " (12 of 40 done), found it reached the limit of its own memory cgroup (992 MiB); a high-water mark of"
        " 900 MiB of private memory, allowed: 757 MiB planned, 1.0 GiB declared."
        " The largest claim is activations (612 MiB: batch x lookback x hidden)."
        " The fence was: own memory cgroup (version 1), limit 992 MiB."
        " The stage used more than planned, please report that. Declare more memory, or lower what the largest claim"
        " speaks of. What was finished is kept. The same command continues: seawall run config.yaml"
    )
    assert (error.exit_code, error.cause) == (5, "oom-own")


def test_the_screen_has_a_row_for_each_thing_a_person_asks() -> None:
    error = explained()

    assert error.headline == "train/fold_02: killed by the kernel for memory, at the stage's own limit"
    assert dict(error.rows) == {
        "What happened": "it reached the limit of its own memory cgroup (992 MiB)",
        "Where": "in sub-step 'epoch 3' (12 of 40 done)",
        "Memory": "high-water mark 900 MiB private; 757 MiB planned, 1.0 GiB declared",
        "Growth": "grew by 3.0 MiB a second over its last 30 s",
        "Held by": "Arrow 3.0 MiB, 1,234,567 blocks of Python objects; the rest is arrays and libraries"
        " (at its last report)",
        "Largest claim": "activations (612 MiB: batch x lookback x hidden)",
        "Fence": "own memory cgroup (version 1), limit 992 MiB",
        "Other processes": "postgres 2.0 GiB, java 300 MiB; 500 MiB was available",
        "What to change": "The stage used more than planned, please report that. Declare more memory, or lower what"
        " the largest claim speaks of.",
    }


@pytest.mark.parametrize(
    ("changes", "cause", "said"),
    [
        ({"returncode": 137}, "oom-own", "killed by the kernel for memory"),
        ({"high_water": HighWater(held_bytes=MIB)}, "oom-own", "it grew faster than it is sampled"),
        ({"killer": Killer("container", "/app is full", True)}, "oom-container", "the container around it was full"),
        ({"killer": Killer("machine", "full", False)}, "oom-machine", "others share that counter"),
        ({"killer": None}, "killed", "no counter of kills for memory has moved"),
        ({"killer": None, "is_counted": False}, "killed-uncounted", "keeps no counter that would tell"),
        (
            {"returncode": -11},
            "crash-near-limit",
            "crashed (SIGSEGV) near its planned memory, probably",
        ),
        ({"returncode": -11, "high_water": HighWater(held_bytes=MIB)}, "crash-segv", "signal 11 (SIGSEGV)"),
        ({"returncode": -6}, "crash-near-limit", "crashed (SIGABRT) near its planned memory"),
        ({"returncode": -15}, "terminated", "SIGTERM"),
        ({"returncode": -31}, "signal", "ended by signal SIGSYS"),
        ({"returncode": 1}, "exit", "exit code 1"),
        ({"returncode": 1, "printed": "Traceback (most recent\nValueError: x"}, "bug", "exit code 1, ValueError: x"),
        ({"stopped": "stopped-memory", "returncode": 130}, "stopped-memory", "held up to 930 MiB of 1.0 GiB"),
        ({"stopped": "stopped-memory"}, "oom-own", "the kernel"),
        (
            {"stopped": "livelock", "returncode": 130, "bytes_read": 8 * GIB, "allowed_read_bytes": 7 * GIB},
            "livelock",
            "8.0 GiB read from disk, 300 MiB planned at worst, 7.0 GiB allowed",
        ),
        ({"failure": {"cause": "memory-numpy", "text": "no 3 GiB"}, "returncode": 1}, "memory-numpy", "no 3 GiB"),
        ({"heartbeat": {}}, "oom-own", "before its first report"),
        ({"heartbeat": {"substep": "sort"}}, "oom-own", "in sub-step 'sort', found"),
    ],
)
def test_each_kind_of_end_is_named_by_its_evidence(changes: dict[str, object], cause: str, said: str) -> None:
    error = explained(**changes)

    assert error.cause == cause
    assert said in str(error)


def test_only_deaths_of_memory_forbid_the_plan_that_died() -> None:
    memory = {name for name, cause in CAUSES.items() if cause.is_memory}

    assert {"oom-own", "oom-container", "oom-machine", "stopped-memory", "memory-numpy", "group-oom"} <= memory
    assert not memory & {"killed", "terminated", "bug", "disk-full", "livelock", "crash-segv", "parent-lost"}


def test_every_cause_says_what_happened_and_what_to_do() -> None:
    assert len(CAUSES) >= 35
    for cause in CAUSES.values():
        assert cause.words
        assert cause.advice.endswith(".")
