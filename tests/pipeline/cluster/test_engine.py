"""Without Ray a cluster is refused with the line that installs it; a token is always there, and nobody else's."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.errors import ConfigError
from seawall.pipeline.cluster import engine
from seawall.pipeline.cluster.config import ClusterConfig
from seawall.pipeline.cluster.engine import address_of, engine_environment, is_loopback, token_of
from seawall.pipeline.cluster.launch import Node, join_head, make_token, start_head


def test_without_ray_the_message_has_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'seawall\[cluster\]'"):
        engine.require_engine()


def test_importing_the_pool_and_the_node_imports_no_ray() -> None:
    code = (
        "import sys, seawall, seawall.pipeline.run, seawall.pipeline.cluster.pool, seawall.pipeline.cluster.node;"
        "print([name for name in ('ray', 'numpy', 'torch', 'pyarrow', 'duckdb') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_a_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "token"
    assert make_token(path)
    text = path.read_text()
    assert not make_token(path)
    assert path.read_text() == text
    assert len(text) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert token_of(ClusterConfig(token_file=path)) == path


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [(None, 0o600, "cannot be read"), ("", 0o600, "is empty"), ("abc", 0o644, "others than its owner")],
)
def test_a_token_that_is_none_or_everybodys_is_refused(tmp_path: Path, text: str | None, mode: int, said: str) -> None:
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    with pytest.raises(ConfigError, match=said):
        token_of(ClusterConfig(token_file=path))


def test_addresses_are_checked_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert address_of(ClusterConfig(address="10.0.0.1:6379")) == "10.0.0.1:6379"
    with pytest.raises(ConfigError, match="no node of a cluster runs"):
        address_of(ClusterConfig(address="auto"))
    with pytest.raises(ConfigError, match="not an address"):
        address_of(ClusterConfig(address="head"))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:6379\n")
    assert address_of(ClusterConfig(address="auto")) == "127.0.0.1:6379"


def test_every_process_has_the_token_on_and_statistics_and_the_node_wide_killer_off() -> None:
    environment = engine_environment(Path("/keys/token"), "10.0.0.1:6379")
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert environment["RAY_memory_monitor_refresh_ms"] == "0"
    assert environment["RAY_worker_niceness"] == "0"
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in environment
    assert engine_environment(Path("/keys/token"), "127.0.0.1:1")["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert is_loopback("localhost")
    assert not is_loopback("10.0.0.1:6379")


@pytest.mark.parametrize("bind", ["0.0.0.0", "203.0.113.9"])
def test_a_node_binds_to_an_address_of_this_machine_alone(
    bind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seawall.pipeline.cluster.launch.require_engine", lambda: None)
    with pytest.raises(ConfigError, match="--bind"):
        start_head(Node(bind=bind, memory_bytes=1 << 30, token=tmp_path / "token"))


def test_a_node_that_joins_from_the_loopback_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--bind"):
        join_head(Node(memory_bytes=1 << 30, token=tmp_path / "token"), "10.0.0.1:6379")


def test_the_note_of_a_head_that_was_killed_keeps_no_other_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seawall.pipeline.cluster.launch._start", lambda node, which: None)
    note = tmp_path / "ray_current_cluster"
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        head.listen()
        node = Node(memory_bytes=1 << 30, token=tmp_path / "token", port=head.getsockname()[1], folder=tmp_path)
        note.write_text(f"127.0.0.1:{node.port}")
        start_head(node)
        assert note.exists(), "this one lives"
    start_head(node)
    assert not note.exists()
