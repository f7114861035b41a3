"""A panel is copied to a node once, checked file by file, and makes room for others when it was used longest ago."""

import fcntl
import os
import shutil
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from seawall.errors import BudgetError, ConfigError, DataError
from seawall.pipeline.cluster.config import ClusterConfig
from seawall.pipeline.cluster.copying import copy_panel, opener
from seawall.pipeline.cluster.panels import held_panel, make_room
from seawall.stores.shape import read_manifest
from seawall.stores.verify import find_damage
from tests.support import make_panel


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    make_panel(folder, num_entities=3, num_dates=40)
    return folder / "world.panel"


def order(panel: Path, folder: Path, source: str = "", limit_bytes: int = 1 << 30) -> dict[str, Any]:
    key = read_manifest(panel)["content_key"]
    return {
        "source": source or str(panel),
        "content_key": key,
        "folder": str(folder),
        "limit_bytes": limit_bytes,
        "target": str(folder / f"{key}.panel"),
    }


def is_whole(panel: Path) -> bool:
    return not find_damage(panel, read_manifest(panel)["files"], lambda done, total: None)


def test_a_panel_is_copied_once_whoever_asks_at_the_same_time(panel: Path, tmp_path: Path) -> None:
    found: list[tuple[Path, int]] = []

    def ask() -> None:
        with held_panel(order(panel, tmp_path)) as copy:
            found.append((copy, (copy / "panel.json").stat().st_ino))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 3
    assert len(set(found)) == 1
    assert is_whole(found[0][0])
    assert not list(tmp_path.glob(".*.partial"))


def test_a_file_that_was_damaged_on_the_way_is_refused_and_nothing_is_left(panel: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.panel"
    shutil.copytree(panel, other)
    victim = next(path for path in sorted(other.rglob("*.npy")))
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    folder = tmp_path / "cache"
    folder.mkdir()

    with pytest.raises(DataError, match="not as written"):
        copy_panel(order(panel, folder, str(other)), opener(str(other)))
    assert list(folder.iterdir()) == []


def test_another_panel_than_the_runs_is_refused(panel: Path, tmp_path: Path) -> None:
    asked = order(panel, tmp_path) | {"content_key": "of another"}
    with pytest.raises(DataError, match="another panel"), held_panel(asked):
        pass


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_panel_is_copied_from_an_address(panel: Path, tmp_path: Path, kind: str) -> None:
    source = f"file://{panel}"
    if kind == "memory":
        memory = pytest.importorskip("fsspec").filesystem("memory")
        for path in panel.rglob("*"):
            if path.is_file():
                memory.pipe_file(f"/bucket/world.panel/{path.relative_to(panel)}", path.read_bytes())
        source = "memory://bucket/world.panel"
    asked = order(panel, tmp_path, source)
    copy_panel(asked, opener(source))

    assert is_whole(Path(asked["target"]))


def test_an_address_with_a_password_is_refused() -> None:
    assert ClusterConfig(panels="s3://bucket/x.panel").panels
    with pytest.raises(ValidationError, match="holds a user or a password"):
        ClusterConfig(panels="s3://someone:secret@bucket/x.panel")


def test_an_address_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("carrier-pigeon://bucket/x.panel", "s3://bucket/x.panel?unknown=1"):
        with pytest.raises(ConfigError, match="cannot be read"):
            opener(address)
    missing = ImportError("no fsspec")

    def nothing(name: str) -> Any:  # noqa: ANN401 - stands for import_module
        if name == "fsspec":
            raise missing
        return import_module(name)

    monkeypatch.setattr("seawall.pipeline.cluster.copying.import_module", nothing)
    with pytest.raises(ConfigError, match=r"seawall\[remote\]"):
        opener("carrier-pigeon://bucket/x.panel")


def kept(folder: Path, name: str, size_bytes: int, used_seconds: float) -> Path:
    panel = folder / f"{name}.panel"
    panel.mkdir(parents=True)
    (panel / "x.npy").write_bytes(bytes(size_bytes))
    os.utime(panel, (used_seconds, used_seconds))
    return panel


def test_panels_used_longest_ago_make_room_and_one_in_use_stays(tmp_path: Path) -> None:
    oldest, old, new = (kept(tmp_path, name, 100, 1e9 + age) for age, name in enumerate(("a", "b", "c")))
    with (tmp_path / "a.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        make_room(tmp_path, 100, 300)
        assert [path.exists() for path in (oldest, old, new)] == [True, False, True]
        make_room(tmp_path, 200, 300)
        assert [path.exists() for path in (oldest, old, new)] == [True, False, False]
        with pytest.raises(BudgetError, match="being read"):
            make_room(tmp_path, 250, 300)
    with pytest.raises(BudgetError, match="larger than it may be"):
        make_room(tmp_path, 301, 300)
