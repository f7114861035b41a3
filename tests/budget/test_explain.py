"""Why a stage ended: from counters, signals and the last heartbeat, never from a guess."""

from dataclasses import replace

import pytest

from seawall.budget.claims import Claim, StagePlan
from seawall.budget.explain import ChildEnd, explain_exit, killed_for_memory
from seawall.budget.meter import HighWater
from seawall.units import GIB, MIB

PLAN = StagePlan(
    stage="train fold 2",
    private=(
        Claim("libraries", 145 * MIB, "import floor"),
        Claim("activations", 612 * MIB, "batch x lookback x hidden"),
    ),
)
KILLED = ChildEnd(
    plan=PLAN,
    returncode=-9,
    oom_kills_before=4,
    oom_kills_after=5,
    heartbeat={"substep": "epoch 3", "done": 12, "total": 40},
    high_water=HighWater(held_bytes=900 * MIB),
    declared_bytes=1 * GIB,
    fence="own memory cgroup (version 1), limit 992 MiB",
)


def test_a_kill_for_memory_tells_everything_that_is_known() -> None:
    error = explain_exit(KILLED, command="seawall run config.yaml")

    assert str(error) == (
        "train fold 2: killed by the kernel for memory (its out-of-memory counter moved) in sub-step 'epoch 3'"
        " (12 of 40 done), found a high-water mark of 900 MiB of private memory,"
        " allowed: 757 MiB planned, 1.0 GiB declared."
        " The largest claim is activations (612 MiB: batch x lookback x hidden)."
        " The fence was: own memory cgroup (version 1), limit 992 MiB."
        " The stage used more than planned: declare more memory, and please report the plan as wrong."
        " What was finished is kept. The same command continues: seawall run config.yaml"
    )
    assert error.exit_code == 5
    assert killed_for_memory(KILLED)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"returncode": 137}, "killed by the kernel for memory"),
        ({"high_water": HighWater(held_bytes=MIB)}, "At the last sample it was within its plan"),
        ({"oom_kills_after": 4}, "killed by signal 9 from outside (the kernel's out-of-memory counter did not move)"),
        ({"oom_kills_before": None, "oom_kills_after": None}, "this machine keeps no counter that would tell"),
        ({"returncode": -11}, "crashed (SIGSEGV) near its planned memory, probably after a refused allocation"),
        ({"returncode": -11, "high_water": HighWater(held_bytes=MIB)}, "crashed by signal 11 (SIGSEGV)"),
        ({"returncode": -6}, "crashed (SIGABRT) near its planned memory"),
        ({"returncode": -15}, "stopped by signal 15 (SIGTERM)"),
        ({"returncode": 1}, "ended with exit code 1 in sub-step"),
        ({"heartbeat": {}}, "before its first report"),
        ({"heartbeat": {"substep": "sort"}}, "in sub-step 'sort', found"),
    ],
)
def test_each_kind_of_end_is_named_by_its_evidence(changes: dict[str, object], said: str) -> None:
    assert said in str(explain_exit(replace(KILLED, **changes), command="seawall run"))  # type: ignore[arg-type]


def test_a_signal_without_a_moved_counter_is_not_called_a_kill_for_memory() -> None:
    assert not killed_for_memory(replace(KILLED, oom_kills_after=4))
    assert not killed_for_memory(replace(KILLED, returncode=-15))
