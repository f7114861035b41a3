"""What looks odd and is no mistake comes in as it is, and is told."""

from pathlib import Path

import numpy as np
import pytest

from tests.ingest.test_bad_input import SIMPLE
from tests.ingest.world import ingested

GOOD = "symbol,date,close\nA,2020-01-01,1.5\nA,2020-01-02,2.5\nB,2020-01-01,3.5\n"
LONG_NAME = "x" * 10_000

SAME = {
    "a byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "Windows line ends": GOOD.replace("\n", "\r\n").encode(),
    "old Mac line ends": GOOD.replace("\n", "\r").encode(),
    "no line end at the end": GOOD.rstrip().encode(),
    "blank lines": GOOD.replace("\n", "\n\n").encode(),
    "every cell in quotes": GOOD.replace(",", '","').replace("\n", '"\n"').rstrip('"').join(['"', ""]).encode(),
    "rows in any order": b"symbol,date,close\nB,2020-01-01,3.5\nA,2020-01-02,2.5\nA,2020-01-01,1.5\n",
    "spaces around numbers": GOOD.replace("2.5", " 2.5 ").encode(),
}


@pytest.mark.parametrize("name", SAME)
def test_odd_ways_to_write_the_same_table_give_the_same_store(tmp_path: Path, name: str) -> None:
    (tmp_path / "good.csv").write_text(GOOD, encoding="utf-8")
    (tmp_path / "odd.csv").write_bytes(SAME[name])
    good, _ = ingested(tmp_path / "good.panel", tmp_path / "good.csv", **SIMPLE)
    odd, _ = ingested(tmp_path / "odd.panel", tmp_path / "odd.csv", **SIMPLE)
    assert odd.content_key == good.content_key


@pytest.mark.parametrize("name", [LONG_NAME, 'a"b', "<script>", "x; DROP TABLE rows", "\U0001f30a", "a,b", "../../etc"])
def test_names_may_hold_anything(tmp_path: Path, name: str) -> None:
    cell = '"' + name.replace('"', '""') + '"'
    (tmp_path / "m.csv").write_text(f"symbol,date,{cell}\n{cell},1,2.5\n", encoding="utf-8")
    column = '"' + name.replace('"', '""') + '"'
    changes = SIMPLE | {"prices": (name,), "features": {name: column}}
    panel, _ = ingested(tmp_path / "m.panel", tmp_path / "m.csv", **changes)
    assert panel.entities == [name]
    assert panel.names("prices") == [name]
    assert panel.features.tolist() == [[2.5]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.panel"]


def test_one_entity_with_one_row_is_a_panel(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("symbol,date,close\nA,2020-01-01,1\n", encoding="utf-8")
    panel, report = ingested(tmp_path / "m.panel", tmp_path / "m.csv", **SIMPLE)
    assert panel.shape.num_rows == 1
    assert report["constant_columns"] == ["close"]


def test_numbers_beyond_float32_become_missing_and_are_counted(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("symbol,date,close\nA,1,1e300\nA,2,inf\nA,3,-7\n", encoding="utf-8")
    panel, report = ingested(tmp_path / "m.panel", tmp_path / "m.csv", **SIMPLE)
    np.testing.assert_array_equal(panel.features[:, 0], np.array([np.nan, np.nan, -7], np.float32))
    assert panel.prices[:, 0].tolist() == [1e300, np.inf, -7.0]
    assert report["infinite_values"] == {"close": 1}
    assert report["lossy_casts"] == {"close": 1}
    assert report["prices"]["close"] == {"zero": 0, "negative": 1, "infinite": 1, "missing": 0}


def test_a_later_value_that_contradicts_the_inferred_format_restarts_the_pass_once(tmp_path: Path) -> None:
    early = "".join(f"E{n},01/01/2020,1\n" for n in range(40_000))
    late = "".join(f"L{n},01/13/2020,1\n" for n in range(10))
    tail = "".join(f"T{n},02/02/2020,1\n" for n in range(60_000))
    middle = "".join(f"M{n},03/03/2020,1\n" for n in range(10_000))
    text = "symbol,date,close\n" + early + late + tail + middle
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    panel, _ = ingested(tmp_path / "m.panel", tmp_path / "m.csv", **SIMPLE)
    days = panel.times_as_datetime().astype("datetime64[D]").astype(str).tolist()
    assert days == ["2020-01-01", "2020-01-13", "2020-02-02", "2020-03-03"]
    assert panel.shape.num_rows == 110_010
