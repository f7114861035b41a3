"""A hundred million evaluations of a search, summed on two hosts, are the sums of one process to the bit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.hosts import PORT, require_hosts, two_hosts
from tests.search.test_run import SECTION, files, tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

GRID = {
    "take_profit_bps": {"start": 40, "stop": 400, "num": 40},
    "stop_loss_bps": {"start": 40, "stop": 300, "num": 26},
    "trail": {"distance_bps": [150, 300], "activation_bps": [0, 50]},
    "holding_periods": list(range(1, 31)),
}
COMBINATIONS = 40 * 26 * 5 * 30
"""Four trails and none."""


def section(folder: Path) -> dict[str, Any]:
    """Write bars and entries, and give a search over them."""
    bars, entries = tables(folder, num_entries=2000)
    types = {**SECTION["types"], "scalping": {"opportunity_bps": 50, "grid": GRID}}
    return {**SECTION, "types": types, "source": str(bars), "entries_source": str(entries)}


def results(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in files(folder / "search").items() if not name.startswith(".")}


def test_a_hundred_million_evaluations_over_two_hosts_are_the_local_sums(tmp_path: Path) -> None:
    require_hosts()
    asked = section(tmp_path)
    for name, more in (("local", {}), ("cluster", {"shard_evaluations": 10_000_000})):
        values: dict[str, Any] = {"name": "search", "output": str(tmp_path / name), "search": asked}
        if more:
            values["cluster"] = more
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "seawall", "run", "--memory", "1GiB"]
    subprocess.run([*command, str(tmp_path / "local.yaml"), "--quiet"], check=True)
    with two_hosts(tmp_path) as pair:
        pair.first.start_node()
        pair.second.start_node(pair.first.address)
        token = str(pair.first.token)
        path = tmp_path / "cluster.yaml"
        values = yaml.safe_load(path.read_text())
        values["cluster"] |= {"token_file": token}
        path.write_text(yaml.safe_dump(values))
        ended = pair.first.run([*command, str(path), "--cluster", f"{pair.first.address}:{PORT}"])
        assert ended.returncode == 0, ended.stdout + ended.stderr

    summary = json.loads((tmp_path / "local" / "search" / "summary.json").read_text())["types"]["scalping"]
    assert summary["num_combinations"] == COMBINATIONS
    assert COMBINATIONS * summary["spans"]["num_search"] >= 10**8
    assert results(tmp_path / "cluster") == results(tmp_path / "local")
    events = [json.loads(line) for line in (tmp_path / "cluster" / "log.jsonl").read_text().splitlines()]
    parts = [event["unit"] for event in events if event["event"] == "finished" and event["unit"].startswith("sweep")]
    assert len(parts) >= 8, "the search and the refit, four parts each"
    said = ended.stderr
    for host in pair.hosts:
        assert f"on node {host.address}" in said
