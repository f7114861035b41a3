"""A run over two real hosts: the same bytes as on one machine, whatever is killed, lost, full or slow meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from seawall.pipeline.cluster.launch import RAY_PROCESSES
from tests.cluster.hosts import OBJECT_STORE_BYTES, PORT, Host, Pair, require_hosts, two_hosts
from tests.pipeline.world import config, market, write_market

pytestmark = pytest.mark.slow

FOLDS = {"train": 70, "valid": 20, "test": 11, "partial_last": False}
"""Fifteen of them."""


def settings(folder: Path, name: str, token: Path | None = None, **train: Any) -> Path:  # noqa: ANN401 - config values
    """Write the small market's config, and give its path."""
    source = folder / "market.csv"
    if not source.exists():
        write_market(source, market())
    values = config(source, folder / name, **{"folds": FOLDS, **train})
    values.pop("backtest")
    values["panel"] = str(folder / "market.panel")
    if token is not None:
        values.pop("ingest")
        values["cluster"] = {"address": f"10.231.7.1:{PORT}", "token_file": str(token), "silent_seconds": 60}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def command(path: Path, memory: str = "2GiB") -> list[str]:
    return [sys.executable, "-m", "seawall", "run", str(path), "--memory", memory]


def artefacts(folder: Path) -> dict[str, bytes]:
    places = ("models/**/*", "predictions/*", "metrics/*", "folds.json")
    found = [path for place in places for path in sorted(folder.glob(place)) if path.name != "history.json"]
    found = [path for path in found if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def units(folder: Path) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = json.loads((folder / "run.json").read_text())["units"]
    return loaded


def wait_for(folder: Path, number: int, stage: str = "train", seconds: float = 300) -> None:
    """Wait until so many units of a stage are recorded."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (folder / "run.json").exists() and sum(name.startswith(stage) for name in units(folder)) >= number:
            return
        time.sleep(0.05)
    pytest.fail(f"no {number} units of {stage} within {seconds} s")


def busy_on(folder: Path, address: str, seconds: float = 120) -> str:
    """Wait until a unit works on a node, and name it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for path in folder.glob(".cluster/*/.node.json"):
            try:
                found = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            if found["address"] == address and (path.parent / ".heartbeat.json").exists():
                return path.parent.name.rpartition(".")[0].replace(".", "/", 1)
        time.sleep(0.05)
    pytest.fail(f"nothing works on {address}")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run once on one machine: the judge."""
    require_hosts()
    folder = tmp_path_factory.mktemp("cluster")
    subprocess.run([*command(settings(folder, "local")), "--quiet"], check=True)
    assert len(list((folder / "local" / "models").glob("fold_*"))) == 15
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with two_hosts(tmp_path) as made:
        made.first.start_node()
        made.second.start_node(made.first.address)
        yield made


def nodes_of(folder: Path) -> set[str]:
    return {record["node"]["address"] for record in units(folder).values() if "node" in record}


def test_a_node_killed_in_the_middle_changes_no_byte(local: Path, pair: Pair) -> None:
    output = local / "killed"
    run = pair.first.popen(command(settings(local, "killed", pair.first.token)))
    wait_for(output, 4)
    lost = busy_on(output, pair.second.address)
    pair.second.kill()
    said = run.communicate(timeout=900)[0]

    assert run.returncode == 0, said
    assert artefacts(output) == artefacts(local / "local")
    assert nodes_of(output) == {host.address for host in pair.hosts}, "both had done some"
    assert f"{lost}: was lost" in said
    assert not (output / ".cluster").exists()
    ends = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    finished = [event["unit"] for event in ends if event["event"] == "finished"]
    assert len(finished) == len(set(finished)), "no unit is published twice"
    for record in units(output).values():
        assert record["measured_private_bytes"] <= record["projected_private_bytes"]
        if "node" in record:
            assert "cgroup" in record["fence"] or "RLIMIT" in record["fence"], "the guard of one machine is there too"


def test_a_killed_worker_and_a_killed_child_are_made_good(local: Path, pair: Pair) -> None:
    output = local / "worker"
    run = pair.first.popen(command(settings(local, "worker", pair.first.token)))
    busy_on(output, pair.second.address)
    for pid in pair.second.processes("ray::train"):
        os.kill(pid, signal.SIGKILL)
    wait_for(output, 2)
    busy_on(output, pair.second.address)
    pair.second.kill("seawall.pipeline.child")
    said = run.communicate(timeout=900)[0]

    assert run.returncode in (0, 5), said
    if run.returncode:  # the child's own death is told as it is on one machine; the same command goes on
        again = pair.first.run(command(local / "worker.yaml"))
        assert again.returncode == 0, again.stdout + again.stderr
    assert artefacts(output) == artefacts(local / "local")


def test_a_head_that_is_restarted_keeps_what_was_finished(local: Path, pair: Pair) -> None:
    output = local / "head"
    run = pair.first.popen(command(settings(local, "head", pair.first.token)))
    wait_for(output, 3)
    kept = {name: record["finished"] for name, record in units(output).items()}
    for host in pair.hosts:
        for part in RAY_PROCESSES:  # head, raylets and workers; the run's parent stays
            host.kill(part)
    pair.first.start_node()
    pair.second.start_node(pair.first.address)
    said = run.communicate(timeout=900)[0]

    assert run.returncode == 0, said
    assert "the connection to its head was lost" in said
    assert artefacts(output) == artefacts(local / "local")
    assert {name: units(output)[name]["finished"] for name in kept} == kept


def test_a_parent_that_is_killed_goes_on_by_the_same_command(local: Path, pair: Pair) -> None:
    """Its nodes read a copy of the panel, made once for both: they see the same disk."""
    output, path = local / "parent", settings(local, "parent", pair.first.token)
    copied = f"silent_seconds: 60\n  panels: file://{local}/market.panel\n  cache_folder: {local}/cache"
    path.write_text(path.read_text().replace("silent_seconds: 60", copied))
    run = pair.first.popen(command(path))
    wait_for(output, 2)
    busy_on(output, pair.second.address)
    for pid in pair.first.processes("seawall run"):
        os.kill(pid, signal.SIGKILL)
    run.communicate(timeout=60)
    again = pair.first.run(command(path))

    assert again.returncode == 0, again.stdout + again.stderr
    assert artefacts(output) == artefacts(local / "local")
    (copy,) = (local / "cache").glob("*.panel")
    assert (copy / "features.npy").exists() or list(copy.glob("*/features.npy"))


def test_a_node_without_room_is_given_no_unit(local: Path, tmp_path: Path) -> None:
    output = local / "full"
    with two_hosts(tmp_path) as pair:
        pair.first.start_node()
        pair.second.start_node(pair.first.address, memory_bytes=1 << 30)
        ended = pair.first.run(command(settings(local, "full", pair.first.token)), timeout=900)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert artefacts(output) == artefacts(local / "local")
    assert nodes_of(output) == {pair.first.address}


def test_a_node_that_hangs_loses_its_unit_to_the_other(local: Path, pair: Pair) -> None:
    output, path = local / "hangs", settings(local, "hangs", pair.first.token)
    path.write_text(path.read_text().replace("silent_seconds: 60", "silent_seconds: 15"))
    run = pair.first.popen(command(path))
    busy_on(output, pair.second.address)
    stopped = pair.second.processes("ray::") + pair.second.processes("seawall.pipeline.child")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    said = run.communicate(timeout=900)[0]

    assert run.returncode == 0, said
    assert "has told nothing for" in said
    assert artefacts(output) == artefacts(local / "local")


def test_who_has_no_token_is_not_let_in(pair: Pair, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("0" * 64)
    wrong.chmod(0o600)
    code = f"import ray; ray.init(address='10.231.7.1:{PORT}', logging_level='ERROR'); print('in')"
    for environment in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN_PATH": str(wrong)}):
        ended = subprocess.run(
            pair.second.command([sys.executable, "-c", code]),
            env=pair.second.environment() | environment,
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        assert ended.returncode != 0
        assert "in" not in ended.stdout.split()


def test_nothing_leaves_the_two_hosts(local: Path, pair: Pair) -> None:
    """Each host has one route, to the other: what would go elsewhere fails, and the run does not need it."""
    for host in pair.hosts:
        routes = host.run(["ip", "route"]).stdout.split("\n")
        assert [route.split()[0] for route in routes if route] == ["10.231.7.0/24"]
    assert not _listens_anywhere_else(pair.first)
    (raylet,) = pair.second.processes("raylet/raylet")
    words = Path(f"/proc/{raylet}/cmdline").read_bytes().decode().split("\0")
    assert f"--object_store_memory={OBJECT_STORE_BYTES}" in words, "paths and small records travel"
    told = Path(f"/proc/{raylet}/environ").read_bytes().decode().split("\0")
    wanted = {"RAY_AUTH_MODE=token", "RAY_memory_monitor_refresh_ms=0", "RAY_USAGE_STATS_ENABLED=0"}
    assert wanted <= set(told)


def _listens_anywhere_else(host: Host) -> list[str]:
    """List sockets bound to an address that is neither all, nor the host's own, nor the loopback."""
    lines = host.run(["ss", "-Hltn"]).stdout.splitlines()
    own = ("*", "0.0.0.0", "[::]", host.address, f"[::ffff:{host.address}]", "127.0.0.1", "[::ffff:127.0.0.1]")
    return [line for line in lines if line.split()[3].rpartition(":")[0] not in own]
