"""A panel in object storage: copied once and checked, from a real server that speaks S3, by runs over two hosts too."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from seawall.errors import DataError
from seawall.pipeline.cluster.panels import held_panel
from seawall.stores.shape import read_manifest
from seawall.stores.verify import find_damage
from tests.cluster.hosts import Host, two_hosts
from tests.cluster.test_two_hosts import artefacts, command, nodes_of, settings
from tests.support import make_panel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

S3_PORT = 9000
KEYS = {
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",  # it would be asked for at an address outside
}

PUT = """
import sys
from pyarrow import fs
storage = fs.S3FileSystem(endpoint_override=sys.argv[1], scheme="http", allow_bucket_creation=True)
storage.create_dir("bucket")
fs.copy_files(sys.argv[2], sys.argv[3], fs.LocalFileSystem(), storage)
"""


def server_program() -> str:
    """Find the server's program; the test is skipped, with the reason, where it is not installed."""
    found = os.environ.get("S3_SERVER") or shutil.which("moto_server") or ""
    if found and Path(found).exists():
        return found
    reason = "no server of S3 is installed: pip install 'moto[server]' in a place of its own, S3_SERVER=…/moto_server"
    if os.environ.get("REQUIRE_HOSTS"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def server(address: str, in_place: Callable[[list[str]], list[str]] = list) -> Iterator[str]:
    """Run a server at an address until the end; gives where it is reached."""
    argv = in_place([server_program(), "-H", address, "-p", str(S3_PORT)])
    running = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    probe = f"import socket; socket.create_connection(({address!r}, {S3_PORT}), 2)"
    try:
        for _ in range(120):
            assert running.poll() is None, "the server has ended"
            if not subprocess.run(in_place([sys.executable, "-c", probe]), capture_output=True, check=False).returncode:
                break
            time.sleep(0.5)
        yield f"{address}:{S3_PORT}"
    finally:
        running.kill()
        running.wait()


def put(endpoint: str, source: Path, target: str, in_place: Callable[[list[str]], list[str]] = list) -> str:
    """Put a folder into the storage, and give its address."""
    subprocess.run(
        in_place([sys.executable, "-c", PUT, endpoint, str(source), f"bucket/{target}"]),
        env=os.environ | KEYS,
        check=True,
    )
    return f"s3://bucket/{target}?endpoint_override={endpoint}&scheme=http"


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    make_panel(folder, num_entities=3, num_dates=40)
    return folder / "world.panel"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with suppress(OSError), socket.create_connection(("127.0.0.1", S3_PORT), 1):
        pytest.skip(f"something else listens on port {S3_PORT}")
    with server("127.0.0.1") as reached:
        yield reached


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def order(panel: Path, folder: Path, source: str) -> dict[str, object]:
    key = read_manifest(panel)["content_key"]
    return {"source": source, "content_key": key, "folder": str(folder), "limit_bytes": 1 << 30}


def test_a_panel_is_copied_from_a_bucket_and_every_file_is_checked(panel: Path, endpoint: str, tmp_path: Path) -> None:
    source = put(endpoint, panel, "world.panel")
    with held_panel(order(panel, tmp_path, source)) as copy:
        assert not find_damage(copy, read_manifest(panel)["files"], lambda done, total: None)

    other = tmp_path / "damaged.panel"
    shutil.copytree(panel, other)
    victim = next(path for path in sorted(other.rglob("*.npy")))
    content = victim.read_bytes()
    victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    source = put(endpoint, other, "damaged.panel")
    with pytest.raises(DataError, match="not as written"), held_panel(order(panel, tmp_path / "cache", source)):
        pass
    assert not list((tmp_path / "cache").glob("*.panel"))


def test_the_environment_may_name_the_server(
    panel: Path, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(endpoint, panel, "named.panel")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{endpoint}")
    with held_panel(order(panel, tmp_path, "s3://bucket/named.panel")) as copy:
        assert (copy / "panel.json").is_file()


def test_what_is_not_there_is_told_by_its_address(panel: Path, endpoint: str, tmp_path: Path) -> None:
    for place in ("bucket/none.panel", "nobucket/world.panel"):
        source = f"s3://{place}?endpoint_override={endpoint}&scheme=http"
        with pytest.raises(DataError, match=place), held_panel(order(panel, tmp_path, source)):
            pass
    silent = "s3://bucket/world.panel?endpoint_override=127.0.0.1:1&scheme=http"
    with pytest.raises(DataError, match="cannot be copied"), held_panel(order(panel, tmp_path, silent)):
        pass


def test_nodes_copy_the_panel_of_a_run_from_a_bucket(tmp_path: Path) -> None:
    folds = {"train": 100, "valid": 30, "test": 40}
    subprocess.run([*command(settings(tmp_path, "local", folds=folds)), "--quiet"], check=True)
    with two_hosts(tmp_path) as pair:
        first: Host = pair.first
        for host in pair.hosts:
            host.more_environment |= KEYS
        with server(first.address, first.command) as reached:
            address = put(reached, tmp_path / "market.panel", "market.panel", first.command)
            first.start_node()
            pair.second.start_node(first.address)
            path = settings(tmp_path, "bucket", first.token, folds=folds)
            copied = f"silent_seconds: 60\n  panels: {address}\n  cache_folder: {tmp_path}/cache"
            path.write_text(path.read_text().replace("silent_seconds: 60", copied))
            ended = first.run(command(path))

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert artefacts(tmp_path / "bucket") == artefacts(tmp_path / "local")
    assert nodes_of(tmp_path / "bucket") == {host.address for host in pair.hosts}
    (copy,) = (tmp_path / "cache").glob("*.panel")
    assert not find_damage(copy, read_manifest(copy)["files"], lambda done, total: None)
