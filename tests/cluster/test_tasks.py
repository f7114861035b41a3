"""A job of torchrun or srun without Ray: two tasks train a fold together, or folds beside one another."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.errors import ConfigError
from seawall.pipeline.cluster.hand import Task
from tests.cluster.hosts import Pair, two_hosts
from tests.cluster.test_ranks_on_two_hosts import TWO, world
from tests.cluster.test_two_hosts import artefacts, command, settings, units

__all__ = ["world"]
slow = pytest.mark.slow


def job(pair: Pair, path: Path) -> tuple[int, str]:
    """Start the same command in a task of torchrun on each host, and wait for both."""
    running = []
    for number, host in enumerate(pair.hosts):
        launcher = ["--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(number), "--master-port", "29511"]
        launcher += ["--master-addr", pair.first.address]
        ours = [*command(path)[1:], "--cluster", "tasks"]
        running.append(host.popen([sys.executable, "-m", "torch.distributed.run", *launcher, *ours]))
    said = [run.communicate(timeout=600)[0] for run in running]
    return max(run.returncode for run in running), "\n".join(said)


@slow
def test_ranks_started_by_torchrun_on_two_hosts_learn_what_two_of_one_machine_do(world: Path, tmp_path: Path) -> None:
    path = settings(world, "torchrun", **TWO)
    with two_hosts(tmp_path) as pair:
        code, said = job(pair, path)

    assert code == 0, said
    assert artefacts(world / "torchrun") == artefacts(world / "two")
    assert not (world / "torchrun" / ".cluster").exists()


@slow
def test_tasks_of_srun_do_seeds_and_folds_beside_one_another(world: Path) -> None:
    """Two tasks of one machine, with what srun sets: SLURM itself is not needed for what we read of it."""
    seeds = TWO | {"ranks": 1, "seeds": 2}
    subprocess.run([*command(settings(world, "seeds", **seeds)), "--quiet"], check=True)
    path = settings(world, "srun", **seeds)
    running = []
    for number in range(2):
        slurm = {"SLURM_PROCID": str(number), "SLURM_NTASKS": "2", "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1"}
        running.append(
            subprocess.Popen(["env", *(f"{k}={v}" for k, v in slurm.items()), *command(path), "--cluster", "tasks"])
        )
    assert [run.wait(600) for run in running] == [0, 0]

    assert artefacts(world / "srun") == artefacts(world / "seeds")
    assert sum(name.startswith("train/") for name in units(world / "srun")) == 2, "each seed of a fold is a unit"
    assert all(unit["node"]["address"] == "127.0.0.1" for name, unit in units(world / "srun").items() if "/" in name)
    ends = [json.loads(line) for line in (world / "srun" / "log.jsonl").read_text().splitlines()]
    finished = [event["unit"] for event in ends if event["event"] == "finished"]
    assert len(finished) == len(set(finished))


def test_a_process_that_is_no_task_says_so() -> None:
    with pytest.raises(ConfigError, match="no task of a job"):
        Task.here({})
    assert Task.here({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}) == Task(1, 2, "127.0.0.1")
    slurm = {"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1"}
    assert Task.here(slurm) == Task(0, 4, "127.0.0.1")
