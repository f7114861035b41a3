from pathlib import Path

import pandas as pd
import pytest

from seawall.errors import ConfigError, DataError
from tests.ingest.world import ingested

SIMPLE = {
    "prices": ("close",),
    "values": (),
    "derived": {},
    "adjustment": {},
    "features": {"close": "close"},
    "targets": {},
    "universe": None,
}
ROWS = "symbol,date,close\n007,2020-01-01,1\n8,2020-01-01,2\nC,2020-01-01,3\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_attributes_stand_beside_the_entities_and_codes_keep_their_zeros(tmp_path: Path) -> None:
    static = write(tmp_path / "s.csv", "side,symbol,size,listed\nleft,8,1.5,2001-02-03\nright,007,,\nup,Z,9,\n")
    source = write(tmp_path / "m.csv", ROWS)
    panel, report = ingested(tmp_path / "m.panel", source, **SIMPLE, static={"source": str(static)})
    assert panel.attributes.to_pydict() == {
        "entity": ["007", "8", "C"],
        "side": ["right", "left", None],
        "size": [None, 1.5, None],
        "listed": [None, "2001-02-03", None],
    }
    assert report["static"] == {"num_columns": 3, "num_entities": 2, "num_unused": 1, "without": ["C"]}
    panel.verify()


def test_attributes_are_part_of_the_content(tmp_path: Path) -> None:
    source = write(tmp_path / "m.csv", ROWS)
    keys = set()
    for text in ("symbol,a\n8,1\n", "symbol,a\n8,2\n", "symbol,b\n8,1\n"):
        static = write(tmp_path / "s.csv", text)
        panel, _ = ingested(tmp_path / "m.panel", source, **SIMPLE, static={"source": str(static)})
        keys.add(panel.content_key)
    plain, _ = ingested(tmp_path / "m.panel", source, **SIMPLE)
    assert plain.attributes.schema.names == ["entity"]
    assert len(keys | {plain.content_key}) == 4


def test_a_parquet_of_other_names_and_some_columns_is_read(tmp_path: Path) -> None:
    pd.DataFrame({"code": ["007", "8"], "a": [1, 2], "b": ["x", "y"], "c": [1.5, 2.5]}).to_parquet(
        tmp_path / "s.parquet"
    )
    source = write(tmp_path / "m.csv", ROWS)
    static = {"source": str(tmp_path / "s.parquet"), "entity": "code", "columns": ("c", "a")}
    panel, _ = ingested(tmp_path / "m.panel", source, **SIMPLE, static=static)
    assert panel.attributes.to_pydict() == {"entity": ["007", "8", "C"], "c": [1.5, 2.5, None], "a": [1.0, 2.0, None]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("symbol,a\n8,1\n8,2\n", "an entity occurs twice in the static table, found '8'"),
        ("symbol,a\n,1\n", "a row of the static table has no entity"),
        ("symbol,a\n9,1\n", "no entity of the panel is in the static table, found '9' there and '007'"),
        ("symbol,a\n8,1,2\n", "cannot be parsed"),
    ],
)
def test_a_bad_static_table_is_refused_and_the_old_store_stays(tmp_path: Path, text: str, message: str) -> None:
    source = write(tmp_path / "m.csv", ROWS)
    before, _ = ingested(tmp_path / "m.panel", source, **SIMPLE)
    static = write(tmp_path / "s.csv", text)
    with pytest.raises(DataError, match=message):
        ingested(tmp_path / "m.panel", source, **SIMPLE, static={"source": str(static)})
    after, _ = ingested(tmp_path / "other.panel", source, **SIMPLE)
    assert before.content_key == after.content_key
    before.verify()


def test_an_unknown_attribute_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    static = write(tmp_path / "s.csv", "symbol,area\n8,1\n")
    source = write(tmp_path / "m.csv", ROWS)
    with pytest.raises(ConfigError, match=r"unknown column, found 'aera'\. Did you mean 'area'\?"):
        ingested(tmp_path / "m.panel", source, **SIMPLE, static={"source": str(static), "columns": ("aera",)})
