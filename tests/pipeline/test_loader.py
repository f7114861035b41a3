"""A stranger hands over a file: it is ingested once, found again by content, and the cache stays small."""

import os
from pathlib import Path

import pytest

import seawall as sw
from seawall.errors import ConfigError
from seawall.pipeline import cache
from seawall.stores.panel import Panel

COLUMNS = {"entity": "symbol", "time": "date"}


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write(tmp_path / "a.csv", 0)


def write(path: Path, shift: int) -> Path:
    lines = [f"{name},2024-01-{day:02d},{day + shift}" for name in "ABC" for day in range(1, 29)]
    path.write_text("\n".join(["symbol,date,value", *lines]))
    return path


def stores(table: Path) -> list[str]:
    return sorted(path.name for path in (table.parent / "cache" / "seawall").glob("*.panel"))


def test_a_file_is_ingested_once_and_its_windows_are_those_of_its_panel(table: Path) -> None:
    first = list(sw.windows(table, lookback=10, batch=7, order="sequential", ingest=COLUMNS, memory="1GiB"))
    made = stores(table)
    [panel] = (table.parent / "cache" / "seawall").glob("*.panel")
    before = (panel / "panel.json").stat().st_mtime_ns

    again = list(sw.windows(str(table), lookback=10, batch=7, order="sequential", ingest=COLUMNS, memory="1GiB"))

    assert (panel / "panel.json").stat().st_mtime_ns == before
    assert stores(table) == made
    assert [batch["x"].tolist() for batch in first] == [batch["x"].tolist() for batch in again]
    assert first[0]["x"][0, :, 0].tolist() == list(range(1, 11))


def test_changed_content_or_settings_make_another_panel(table: Path) -> None:
    cache.open_panel(table, COLUMNS, memory="1GiB")
    write(table, 100)

    changed = cache.open_panel(table, COLUMNS, memory="1GiB")
    other = cache.open_panel(table, COLUMNS | {"features": {"double": "value * 2"}, "values": ["value"]}, memory="1GiB")

    assert changed.features[0, 0] == 101
    assert other.names("features") == ["double"]
    assert len(stores(table)) == 3


def test_the_panel_used_longest_ago_goes_when_the_cache_is_full(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = cache.open_panel(table, COLUMNS, memory="1GiB")
    os.utime(old.path, (1, 1))
    monkeypatch.setattr(cache, "LARGEST_CACHE_BYTES", 1)

    new = cache.open_panel(write(table.with_name("b.csv"), 5), COLUMNS, memory="1GiB")

    assert stores(table) == [new.path.name]


def test_a_panel_is_taken_as_it_is(table: Path) -> None:
    panel = cache.open_panel(table, COLUMNS, memory="1GiB")

    assert cache.open_panel(panel) is panel
    assert isinstance(cache.open_panel(panel.path), Panel)


def test_what_cannot_be_read_is_refused_by_name(table: Path) -> None:
    with pytest.raises(ConfigError, match=r"ingest\.time: needed to read tables.*the names of these columns"):
        sw.windows(table, lookback=5, ingest={"entity": "symbol"})
    with pytest.raises(ConfigError, match=r"data: not something to read windows from, found int"):
        sw.windows(7, lookback=5, ingest=COLUMNS)
    with pytest.raises(ConfigError, match=r"as_: unknown, found 'tensor', allowed: numpy or torch"):
        sw.windows(table, lookback=5, ingest=COLUMNS, memory="1GiB", as_="tensor")  # type: ignore[arg-type]
