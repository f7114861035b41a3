"""A stranger hands over a file: it is ingested once, found again by content, and the cache stays small."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
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


def test_windows_and_folds_of_a_frame_are_those_of_its_file(table: Path) -> None:
    frame = pd.read_csv(table, parse_dates=["date"])
    known: dict[str, Any] = {"lookback": 10, "batch": 7, "order": "sequential", "memory": "1GiB", "ingest": COLUMNS}
    from_file = [batch["x"].tolist() for batch in sw.windows(table, **known)]
    count = len(stores(table))

    for data in (frame, pa.Table.from_pandas(frame)):
        assert [batch["x"].tolist() for batch in sw.windows(data, **known)] == from_file
    assert len(stores(table)) <= count + 2
    again = len(stores(table))
    folds = sw.folds(frame, train=10, valid=4, test=4, ingest=COLUMNS)
    assert [fold.test for fold in folds.folds] == [(14, 18), (18, 22), (22, 26)]
    assert len(stores(table)) == again, "the same frame is found again by its content"
    assert not (table.parent / "cache" / "seawall" / ".frame.arrow").exists()


def test_static_attributes_come_by_name_numbers_as_they_are_and_texts_as_codes(table: Path) -> None:
    attributes = table.with_name("attributes.csv")
    attributes.write_text("symbol,sector,size\nA,mines,3.5\nB,banks,1.5\nC,mines,")
    settings = COLUMNS | {"static": {"source": str(attributes)}}
    asked: dict[str, Any] = {"lookback": 5, "memory": "1GiB", "ingest": settings}

    batch = next(iter(sw.windows(table, static=["size", "sector"], batch=1000, **asked)))

    by_entity = {int(e): row.tolist() for e, row in zip(batch["entity"], batch["static"], strict=True)}
    assert by_entity[0] == [3.5, 1.0]
    assert by_entity[1] == [1.5, 0.0]
    assert np.isnan(by_entity[2][0])
    assert by_entity[2][1] == 1.0
    with pytest.raises(ConfigError, match="static: no such attribute of entities, found 'sectr'"):
        sw.windows(table, static=["sectr"], **asked)
