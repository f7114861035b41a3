"""The walk-through of the guide is followed line by line on two hosts, and the laptop's by a host alone."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.cluster.hosts import Host, two_hosts

GUIDE = (Path(__file__).parents[2] / "docs" / "guide" / "cluster.md").read_text(encoding="utf-8")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def section(title: str) -> str:
    return GUIDE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def typed(host: Host, line: str, shared: Path) -> None:
    """Type a line of the guide on a host; its shared folder is ours."""
    words = shlex.split(line.replace("/shared", str(shared)))
    assert words[0] == "seawall"
    ended = host.run([sys.executable, "-m", *words])
    assert ended.returncode == 0, line + ended.stdout + ended.stderr


def test_the_two_nodes_of_the_guide(tmp_path: Path) -> None:
    text, shared = section("Two nodes"), tmp_path / "shared"
    shared.mkdir()
    (config,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (shared / "walk.yaml").write_text(config.replace("/shared", str(shared)))
    lines = re.findall(r"^(first|second)\$ (.+)$", text, re.MULTILINE)
    assert len(lines) == 7
    with two_hosts(tmp_path, "10.0.0") as pair:
        hosts = {"first": pair.first, "second": pair.second}
        for host, line in lines:
            typed(hosts[host], line, shared)
        assert [host.processes() for host in pair.hosts] == [[], []], "nothing is left of the engine"

    units = json.loads((shared / "walk" / "run.json").read_text())["units"]
    nodes = {unit["node"]["address"] for name, unit in units.items() if name.startswith("train/")}
    assert nodes == {"10.0.0.1", "10.0.0.2"}
    assert (shared / "walk" / "report.html").is_file()


def test_the_laptop_of_the_guide_listens_on_the_loopback_alone(tmp_path: Path) -> None:
    """Its config is that of the two nodes; a token is made where there is none."""
    lines = re.findall(r"^(seawall .+)$", section("A laptop"), re.MULTILINE)
    assert len(lines) == 3
    (config,) = re.findall(r"```yaml\n(.*?)```", section("Two nodes"), re.DOTALL)
    config = config.replace("/shared", str(tmp_path)).replace("cluster: {token_file", "#")
    (tmp_path / "config.yaml").write_text(config)
    with two_hosts(tmp_path) as pair:
        laptop = pair.first
        laptop.more_environment |= {"HOME": str(tmp_path), "RAY_AUTH_TOKEN_PATH": str(tmp_path / ".ray" / "auth_token")}
        typed(laptop, lines[0], tmp_path)
        heard = {line.split()[3].rpartition(":")[0] for line in laptop.run(["ss", "-Hltn"]).stdout.splitlines()}
        assert heard <= {"127.0.0.1", "[::ffff:127.0.0.1]", "[::1]"}, heard
        typed(laptop, lines[1].replace("config.yaml", str(tmp_path / "config.yaml")), tmp_path)
        typed(laptop, lines[2], tmp_path)
        assert laptop.processes() == []

    units = json.loads((tmp_path / "walk" / "run.json").read_text())["units"]
    assert {unit["node"]["address"] for name, unit in units.items() if name.startswith("train/")} == {"127.0.0.1"}
