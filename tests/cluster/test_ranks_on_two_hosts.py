"""Two ranks of a fold on two hosts learn what two of one machine do, to the bit; one that is killed is made good."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.cluster.hosts import Host, Pair, two_hosts
from tests.cluster.test_two_hosts import artefacts, command, nodes_of, settings, units

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FOLDS = {"train": 150, "valid": 30, "test": 60}
STILL = {"kind": "lstm", "hidden_size": 4, "dropout": 0.0}
"""Without dropout, whose masks every rank draws for itself, one process learns the same."""

TWO: dict[str, Any] = {"folds": FOLDS, "ranks": 2, "model": STILL, "checkpoint_seconds": 0.0, "max_epochs": 3}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train with two ranks of one machine, and by one process: the judges."""
    folder = tmp_path_factory.mktemp("ranks")
    for name, ranks in (("two", 2), ("one", 1)):
        path = settings(folder, name, **TWO | {"ranks": ranks})
        subprocess.run([*command(path), "--quiet"], check=True)
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with two_hosts(tmp_path_factory.mktemp("hosts")) as made:
        made.first.start_node()
        made.second.start_node(made.first.address)
        yield made


def spread(folder: Path, name: str, token: Path, **train: object) -> Path:
    """Write a config whose ranks go to different hosts."""
    path = settings(folder, name, token, **TWO | train)
    path.write_text(path.read_text().replace("silent_seconds: 60", "silent_seconds: 60\n  rank_placement: spread"))
    return path


def rank_on(host: Host, seconds: float = 120) -> int:
    """Wait for a rank's own process on a host, and give its number."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = [pid for pid in host.processes("seawall.pipeline.child") if has_two_sides(pid)]
        if found:
            return found[0]
        time.sleep(0.02)
    pytest.fail(f"no rank on {host.address}")


def has_two_sides(pid: int) -> bool:
    """Tell whether a process holds an open connection between the two hosts."""
    try:
        table = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
        sockets = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return False
    ends = {f"socket:[{line.split()[9]}]" for line in table if line.split()[2].startswith("0") and "E70A" in line}
    return bool(ends & sockets)


def test_two_ranks_on_two_hosts_learn_what_two_of_one_machine_do(world: Path, pair: Pair) -> None:
    path = spread(world, "spread", pair.first.token)
    ended = pair.first.run(command(path))
    assert ended.returncode == 0, ended.stdout + ended.stderr

    assert artefacts(world / "spread") == artefacts(world / "two")
    assert "restarts" not in str(units(world / "spread"))
    alone = load_file(world / "one" / "models" / "fold_00" / "model.safetensors")
    together = load_file(world / "spread" / "models" / "fold_00" / "model.safetensors")
    for name, weights in alone.items():
        assert torch.allclose(weights, together[name], rtol=0, atol=1e-4), name
    assert nodes_of(world / "spread") <= {host.address for host in pair.hosts}


def test_a_rank_killed_on_the_other_host_is_made_good_from_the_last_checkpoint(world: Path, pair: Pair) -> None:
    path = spread(world, "killed", pair.first.token)
    run = pair.first.popen(command(path))
    os.kill(rank_on(pair.second), signal.SIGKILL)
    said = run.communicate(timeout=600)[0]

    assert run.returncode == 0, said
    assert artefacts(world / "killed") == artefacts(world / "two")
    restarts = [unit["summary"]["restarts"] for unit in units(world / "killed").values() if "restarts" in str(unit)]
    assert len(restarts) == 1
    assert "rank" in restarts[0][0]["cause"]
