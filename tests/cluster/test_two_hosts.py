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
from tests.cgroups import memory_cgroup
from tests.cluster.hosts import OBJECT_STORE_BYTES, PORT, Host, Pair, core_quota, put_into, require_hosts, two_hosts
from tests.pipeline.world import config, market, write_market

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FOLDS = {"train": 70, "valid": 20, "test": 11, "partial_last": False}
"""Fifteen of them."""

FEW = FOLDS | {"train": 100, "valid": 30, "test": 20}
"""Six, where nothing depends on their number."""

FILLED_BYTES, ROOM_BYTES = 600 << 20, 230 << 20
"""What others hold of a node, and what they leave: the workers of Ray take a part of that, a unit needs more."""


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
    for name, folds, number in (("local", FOLDS, 15), ("few", FEW, 6)):
        subprocess.run([*command(settings(folder, name, folds=folds)), "--quiet"], check=True)
        assert len(list((folder / name / "models").glob("fold_*"))) == number
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with two_hosts(tmp_path) as made:
        made.first.start_node()
        made.second.start_node(made.first.address)
        yield made


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two hosts for tests that leave both as they were; those are the last of this file."""
    with two_hosts(tmp_path_factory.mktemp("lasting")) as made:
        made.first.start_node()
        made.second.start_node(made.first.address)
        yield made


def nodes_of(folder: Path) -> set[str]:
    return {record["node"]["address"] for record in units(folder).values() if "node" in record}


def assert_published_once(folder: Path) -> None:
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    finished = [event["unit"] for event in events if event["event"] == "finished"]
    assert len(finished) == len(set(finished)), "no unit is published twice"


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
    assert_published_once(output)
    for record in units(output).values():
        assert record["measured_private_bytes"] <= record["projected_private_bytes"]
        if "node" in record:
            assert "cgroup" in record["fence"] or "RLIMIT" in record["fence"], "the guard of one machine is there too"


def test_a_killed_worker_and_a_killed_child_are_made_good(local: Path, pair: Pair) -> None:
    output = local / "worker"
    run = pair.first.popen(command(settings(local, "worker", pair.first.token, folds=FEW)))
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
    assert artefacts(output) == artefacts(local / "few")


def test_a_head_that_is_restarted_keeps_what_was_finished(local: Path, pair: Pair) -> None:
    output = local / "head"
    run = pair.first.popen(command(settings(local, "head", pair.first.token, folds=FEW)))
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
    assert artefacts(output) == artefacts(local / "few")
    assert {name: units(output)[name]["finished"] for name in kept} == kept


def test_a_parent_that_is_killed_goes_on_by_the_same_command(local: Path, pair: Pair) -> None:
    """Its nodes read a copy of the panel, made once for both: they see the same disk."""
    output, path = local / "parent", settings(local, "parent", pair.first.token, folds=FEW)
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
    assert artefacts(output) == artefacts(local / "few")
    (copy,) = (local / "cache").glob("*.panel")
    assert (copy / "features.npy").exists() or list(copy.glob("*/features.npy"))


def test_a_node_without_room_is_given_no_unit(local: Path, tmp_path: Path) -> None:
    output = local / "full"
    with two_hosts(tmp_path) as pair:
        pair.first.start_node()
        pair.second.start_node(pair.first.address, memory_bytes=1 << 30)
        ended = pair.first.run(command(settings(local, "full", pair.first.token, folds=FEW)), timeout=900)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert artefacts(output) == artefacts(local / "few")
    assert nodes_of(output) == {pair.first.address}


def test_a_node_that_others_have_filled_refuses_units_which_go_elsewhere(local: Path, tmp_path: Path) -> None:
    """Ray counts what was asked of it, not what is there: the guard on the node finds that others hold its memory."""
    output = local / "filled"
    hold = f"held = b'1' * {FILLED_BYTES}; print('held', flush=True); import time; time.sleep(3600)"
    with two_hosts(tmp_path) as pair, memory_cgroup(FILLED_BYTES + ROOM_BYTES) as small:
        pair.second.sees_groups = True
        pair.first.start_node()
        pair.second.start_node(pair.first.address)
        put_into(small.group.folder, pair.second.processes())
        enter: list[str | Path] = ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', small.group.folder]
        filler = pair.second.popen([*enter, sys.executable, "-c", hold])  # from its start on, so that all of it counts
        assert filler.stdout is not None
        assert filler.stdout.readline() == "held\n"
        ended = pair.first.run(command(settings(local, "filled", pair.first.token, folds=FEW)), timeout=900)
        assert filler.poll() is None
        filler.kill()
        filler.communicate()

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"node {pair.second.address} has no room for it" in ended.stderr
    assert artefacts(output) == artefacts(local / "few")
    assert nodes_of(output) == {pair.first.address}
    assert_published_once(output)


def test_a_node_that_hangs_loses_its_unit_to_the_other(local: Path, pair: Pair) -> None:
    output, path = local / "hangs", settings(local, "hangs", pair.first.token, folds=FEW)
    path.write_text(path.read_text().replace("silent_seconds: 60", "silent_seconds: 15"))
    run = pair.first.popen(command(path))
    busy_on(output, pair.second.address)
    stopped = pair.second.processes("ray::") + pair.second.processes("seawall.pipeline.child")
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    said = run.communicate(timeout=900)[0]

    assert run.returncode == 0, said
    assert "has told nothing for" in said
    assert artefacts(output) == artefacts(local / "few")


def test_a_unit_on_a_node_that_has_become_slow_is_begun_again_on_an_idle_one(local: Path, lasting: Pair) -> None:
    """Every unit of the second host gets a hundredth of a core for as long as the run lasts."""
    output, path = local / "slow", settings(local, "slow", lasting.first.token, folds=FEW)
    path.write_text(path.read_text().replace("silent_seconds: 60", "silent_seconds: 600\n  slow_factor: 2"))
    deadline, held = time.monotonic() + 1200, set()
    with core_quota(f"seawall-slow-{os.getpid()}", 0.01) as quota:
        run = lasting.first.popen(command(path))
        while run.poll() is None and time.monotonic() < deadline:
            found = lasting.second.processes("seawall.pipeline.child")
            quota.hold(found)
            held |= {*found} & quota.pids
            time.sleep(0.2)
        said = run.communicate(timeout=60)[0]

    assert run.returncode == 0, said
    assert held, "a living unit was held back"
    assert f"is slow on node {lasting.second.address}" in said
    assert artefacts(output) == artefacts(local / "few")
    assert_published_once(output)


def test_who_has_no_token_is_not_let_in(lasting: Pair, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("0" * 64)
    wrong.chmod(0o600)
    code = f"import ray; ray.init(address='10.231.7.1:{PORT}', logging_level='ERROR'); print('in')"
    for environment in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN_PATH": str(wrong)}):
        ended = subprocess.run(
            lasting.second.command([sys.executable, "-c", code]),
            env=lasting.second.environment() | environment,
            capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        assert ended.returncode != 0
        assert "in" not in ended.stdout.split()


def test_nothing_leaves_the_two_hosts(lasting: Pair) -> None:
    """Each host has one route, to the other: what would go elsewhere fails, and the run does not need it."""
    for host in lasting.hosts:
        routes = host.run(["ip", "route"]).stdout.split("\n")
        assert [route.split()[0] for route in routes if route] == ["10.231.7.0/24"]
    assert not _listens_anywhere_else(lasting.first)
    (raylet,) = lasting.second.processes("raylet/raylet")
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
