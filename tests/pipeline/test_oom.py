"""The kernel's own out-of-memory kill in every stage: the run says so, keeps what it has, and the command goes on."""

import csv
import json
import os
import subprocess
import sys
import time
from itertools import groupby
from pathlib import Path

import pytest

from seawall.budget.cgroup import group_of
from seawall.budget.heartbeat import read_heartbeat
from seawall.budget.processes import descendants
from tests.pipeline.kills import World

pytestmark = [pytest.mark.slow, pytest.mark.cgroup]

STAGES = ("ingest", "folds", "train/fold_00", "predict/fold_00", "evaluate", "join", "backtest", "search", "report")

MIDDLES = (
    ("ingest", "sort and compute", "read and scatter", "ingest goes on from the "),
    ("train/fold_00", "epoch 9: train", "epoch 0: train", "train/fold_00 goes on from its last checkpoint, "),
    ("search", "both: sweep everything", "predictions", "search goes on from the "),
)
"""Unit, sub-step at which much is done already, one that is not to be seen again, and what the screen says."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World.make(tmp_path_factory.mktemp("oom"))
    if not made.units()["folds"]["fence"].startswith(("own memory cgroup", "scope")):
        pytest.skip("a stage gets no memory cgroup here")
    return made


def own_limit(pid: int) -> Path | None:
    """Find the limit of the cgroup a stage has entered, its own or a scope; None before it has."""
    group = group_of(str(pid))
    if group is None or not group.folder.name.startswith("seawall-"):
        return None
    return group.folder / ("memory.limit_in_bytes" if group.version == 1 else "memory.max")


def starve(parent: subprocess.Popen[str]) -> None:
    """Lower the limit of the first stage to less than it must take."""
    while parent.poll() is None:
        for pid in descendants(parent.pid)[1:]:
            limit = own_limit(pid)
            if limit is not None:
                try:
                    limit.write_text(str(16 * 2**20))
                except OSError:
                    continue
                return
        time.sleep(0.001)


NEIGHBOUR = """
import sys, pathlib, os, time
folder = pathlib.Path(sys.stdin.readline().strip())
(folder / "cgroup.procs").write_text(str(os.getpid()))
used, limit = ("memory.current", "memory.max") if (folder / "memory.max").exists() else (
    "memory.usage_in_bytes", "memory.limit_in_bytes")
(folder / limit).write_text(str(int((folder / used).read_text()) + 8 * 2**20))
taken = []
while len(taken) < 32:
    taken.append(bytearray(b"x") * 2**20)
time.sleep(60)
"""
"""A process that fills the cgroup it is told of."""


def crowd(parent: subprocess.Popen[str], world: World, substep: str) -> None:
    """Let a neighbour take the room a stage has left as soon as it tells of a sub-step; the kernel kills the stage."""
    with subprocess.Popen([sys.executable, "-c", NEIGHBOUR], stdin=subprocess.PIPE, text=True) as neighbour:
        while read_heartbeat(world.out / ".heartbeat.json").get("substep") != substep:
            assert parent.poll() is None, f"{substep} was not seen"
            time.sleep(0.001)
        child = descendants(parent.pid)[1]
        limit = own_limit(child)
        assert limit is not None
        Path(f"/proc/{child}/oom_score_adj").write_text("1000")  # the stage is to be killed, not its neighbour
        assert neighbour.stdin is not None
        print(limit.parent, file=neighbour.stdin, flush=True)
        while child in descendants(parent.pid):
            time.sleep(0.001)
        neighbour.kill()


@pytest.mark.parametrize("unit", STAGES)
def test_a_stage_the_kernel_kills_for_memory_is_explained_and_continued(world: World, unit: str) -> None:
    world.undo(unit)
    parent = subprocess.Popen(world.command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))

    starve(parent)
    _, errors = parent.communicate(timeout=120)

    assert parent.returncode in (0, 5), errors[-2000:]  # 0: tried again by itself, with room
    assert "Traceback" not in errors
    if parent.returncode:
        assert "memory" in errors, errors[-2000:]
    world.run_to_the_end()
    world.assert_undisturbed(f"{unit} killed for memory, exit code {parent.returncode}")
    print(unit, parent.returncode, errors.splitlines()[:1])


@pytest.mark.parametrize(("unit", "substep", "earlier", "said"), MIDDLES)
def test_a_stage_killed_for_memory_in_its_middle_goes_on_and_does_not_begin_again(
    world: World, unit: str, substep: str, earlier: str, said: str
) -> None:
    world.undo(unit)
    num_rows = len(substeps(world, unit))
    parent = subprocess.Popen(world.command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))

    crowd(parent, world, substep)
    _, errors = parent.communicate(timeout=120)

    log = [json.loads(line) for line in (world.out / "log.jsonl").read_text().splitlines()]
    assert [entry["cause"] for entry in log if entry["event"] == "failed"][-1:] == ["oom-lowered"], errors[-2000:]
    assert parent.returncode == 0 or said in errors, errors[-2000:]
    world.run_to_the_end()
    world.assert_undisturbed(f"{unit} killed for memory in {substep}")
    stretches = [name for name, _ in groupby(substeps(world, unit)[num_rows:])]
    assert stretches.count(earlier) <= 1, f"begun again: {stretches}"


def substeps(world: World, unit: str) -> list[str]:
    """List the sub-steps of a unit in the rows of the timeline."""
    with (world.out / "memory.csv").open(encoding="utf-8", newline="") as file:
        return [row["substep"] for row in csv.DictReader(file) if row["unit"] == unit]
