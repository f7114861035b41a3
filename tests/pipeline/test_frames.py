from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import seawall as sw
from seawall.errors import ConfigError, DataError
from seawall.pipeline import frames
from seawall.pipeline.frames import is_frame, write_frame


def frame(num_rows: int = 7) -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=num_rows, tz="UTC")
    return pd.DataFrame({"code": ["007"] * num_rows, "day": days, "x": np.arange(num_rows) / 3})


def read(path: Path) -> pa.Table:
    with pa.ipc.open_file(str(path)) as reader:
        return reader.read_all()


def test_frames_of_every_kind_are_written_alike(tmp_path: Path) -> None:
    plain = frame()
    table = pa.Table.from_pandas(plain, preserve_index=False)
    kinds = {
        "plain": plain,
        "index": plain.set_index("code"),
        "levels": plain.set_index(["code", "day"]),
        "table": table,
        "reader": table.to_reader(),
        "mapping": {name: table[name] for name in table.schema.names},
    }
    for name, kind in kinds.items():
        assert is_frame(kind)
        write_frame(kind, tmp_path / f"{name}.arrow")
        assert read(tmp_path / f"{name}.arrow").to_pydict() == table.to_pydict(), name


def test_a_frame_is_written_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "BATCH_ROWS", 3)
    write_frame(frame(), tmp_path / "x.arrow")
    with pa.ipc.open_file(str(tmp_path / "x.arrow")) as reader:
        sizes = [reader.get_batch(number).num_rows for number in range(reader.num_record_batches)]
        assert sizes == [3, 3, 1]
    assert read(tmp_path / "x.arrow").num_rows == 7


def test_a_frame_that_is_no_table_is_refused_in_words(tmp_path: Path) -> None:
    mixed = pd.DataFrame({"code": ["A", "B"], "day": [1, 2], "x": [1.0, "two"]})
    with pytest.raises(DataError, match="a column of the frame has no single type"):
        write_frame(mixed, tmp_path / "x.arrow")
    twice = pd.DataFrame([[1, 2]], columns=["x", "x"])
    with pytest.raises(ConfigError, match="need names, each once"):
        write_frame(twice, tmp_path / "x.arrow")
    with pytest.raises(DataError, match="the frame has no rows"):
        write_frame(frame().iloc[:0], tmp_path / "x.arrow")


def test_a_frame_in_memory_becomes_a_panel_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    rows, asked = frame().set_index(["code", "day"]), {"twice": "2 * x", "as_it_is": "x"}
    panel = sw.ingest(rows, tmp_path / "x.panel", entity="code", time="day", features=asked)
    assert panel.entities == ["007"]
    assert list(panel.names("features")) == ["twice", "as_it_is"], "columns in the order they were asked for"
    np.testing.assert_array_equal(panel.features[:, 0], (2 * np.arange(7) / 3).astype(np.float32))
    np.testing.assert_array_equal(panel.features[:, 1], (np.arange(7) / 3).astype(np.float32))
    assert str(panel.times_as_datetime()[0]) == "2024-01-01T00:00:00.000000000"
    assert [path.name for path in tmp_path.iterdir()] == ["x.panel"]


def test_what_cannot_be_read_is_refused_before_any_child_starts(tmp_path: Path) -> None:
    for nothing in (7, None, [], [3]):
        with pytest.raises(ConfigError, match="not something to read"):
            sw.ingest(nothing, tmp_path / "x.panel", entity="code", time="day")
