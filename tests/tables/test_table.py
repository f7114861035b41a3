import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pytest

from seawall.arrays import Float64
from seawall.errors import ConfigError, DataError
from seawall.tables.layout import Layout
from seawall.tables.read import BadRow
from seawall.tables.table import Table, check_columns, open_tables
from seawall.tables.times import TimeFormat

TEXT = "code,day,x,y\n007,2024-01-01,1.5,2\nB,2024-01-02,,-3\n"
Rows = list[tuple[str, str, list[float]]]


def rows_of(table: Table, values: list[str], *, careful: bool = False) -> Rows:
    """All rows of a table as Python values, NaN as the text nan."""
    bad: list[BadRow] = []
    blocks = table.checked(values, None, bad) if careful else table.blocks(values, None)
    rows: Rows = []
    for block in blocks:
        names, times = block.entity.to_pylist(), block.time.to_pylist()
        rows += [(name, str(time), list(row)) for name, time, row in zip(names, times, block.values, strict=True)]
    assert not bad
    return rows


def opened(path: Path, **layout: object) -> Table:
    (table,) = open_tables([path], Layout.model_validate(layout), "code", "day")
    return table


def same(found: Rows, expected: Rows) -> None:
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    np.testing.assert_array_equal([row[2] for row in found], [row[2] for row in expected])


EXPECTED: Rows = [("007", "2024-01-01", [1.5, 2.0]), ("B", "2024-01-02", [np.nan, -3.0])]


def plain(path: Path) -> Path:
    path.write_text(TEXT, encoding="utf-8")
    return path


def packed_gzip(path: Path) -> Path:
    path.write_bytes(gzip.compress(TEXT.encode()))
    return path


def packed_zstd(path: Path) -> Path:
    with pa.output_stream(str(path), compression="zstd") as stream:
        stream.write(TEXT.encode())
    return path


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/x.csv", TEXT)
        archive.writestr("README.txt", "a note")
    return path


def frame() -> pd.DataFrame:
    return pd.DataFrame({"code": ["007", "B"], "day": ["2024-01-01", "2024-01-02"], "x": [1.5, np.nan], "y": [2, -3]})


def fed(path: Path) -> Path:
    feather.write_feather(frame(), str(path), compression="lz4")
    return path


def tabs(path: Path) -> Path:
    path.write_text(TEXT.replace(",", "\t"), encoding="utf-8")
    return path


def semicolons(path: Path) -> Path:
    path.write_text(TEXT.replace(",", ";").replace("1.5", "1,5"), encoding="utf-8")
    return path


def with_bom(path: Path) -> Path:
    path.write_text("\ufeff" + TEXT.replace("\n", "\r\n"), encoding="utf-8", newline="")
    return path


def old_mac(path: Path) -> Path:
    path.write_text(TEXT.replace("\n", "\r"), encoding="utf-8", newline="")
    return path


def headerless(path: Path) -> Path:
    path.write_text(TEXT.partition("\n")[2], encoding="utf-8")
    return path


def objects(path: Path) -> Path:
    path.write_text(frame().to_json(orient="records"), encoding="utf-8")
    return path


def object_lines(path: Path) -> Path:
    path.write_text(frame().to_json(orient="records", lines=True), encoding="utf-8")
    return path


Make = Callable[[Path], Path]
FORMS: list[tuple[str, Make, dict[str, Any]]] = [
    ("x.csv", plain, {}),
    ("x.CSV", plain, {}),
    ("x.csv.gz", packed_gzip, {}),
    ("x.csv.zst", packed_zstd, {}),
    ("x.zip", zipped, {}),
    ("x.feather", fed, {}),
    ("x.arrow", fed, {}),
    ("x.tsv", tabs, {}),
    ("x.csv", semicolons, {"decimal": ","}),
    ("x.csv", with_bom, {}),
    ("x.csv", old_mac, {}),
    ("x.csv", headerless, {"columns": ("code", "day", "x", "y")}),
    ("x.json", objects, {}),
    ("x.json", object_lines, {}),
]


@pytest.mark.parametrize(("name", "make", "layout"), FORMS, ids=lambda form: getattr(form, "__name__", None))
def test_every_form_of_a_table_gives_the_same_rows(
    tmp_path: Path, name: str, make: Make, layout: dict[str, Any]
) -> None:
    table = opened(make(tmp_path / name), **layout)
    assert table.number_columns() == ["x", "y"]
    same(rows_of(table, ["x", "y"]), EXPECTED)
    same(rows_of(table, ["y"]), [(*row[:2], row[2][1:]) for row in EXPECTED])


@pytest.mark.parametrize(("name", "make", "layout"), [FORMS[2], FORMS[4], FORMS[8], FORMS[11]])
def test_the_careful_way_reads_the_same_rows(tmp_path: Path, name: str, make: Make, layout: dict[str, Any]) -> None:
    same(rows_of(opened(make(tmp_path / name), **layout), ["x", "y"], careful=True), EXPECTED)


def test_the_delimiter_is_taken_from_the_header_and_said(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('code|day|"a,b,c,d"\nA|1|2\n', encoding="utf-8")
    table = opened(path)
    assert table.guesses == ["the delimiter is '|', as in the header"]
    assert rows_of(table, ["a,b,c,d"]) == [("A", "1", [2.0])]


@pytest.mark.parametrize(
    ("text", "layout", "value"),
    [
        ("1.234.567,25", {"thousands": ".", "decimal": ","}, 1234567.25),
        ('"1,234,567.25"', {"thousands": ",", "delimiter": ";"}, 1234567.25),
        ("-1 234", {"thousands": " "}, -1234.0),
        ("12'345.5e2", {"thousands": "'"}, 1234550.0),
        ("0,5", {"decimal": ","}, 0.5),
    ],
)
def test_numbers_with_other_marks_are_read_where_they_are_declared(
    tmp_path: Path, text: str, layout: dict[str, Any], value: float
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"code;day;x\nA;1;{text}\n", encoding="utf-8")
    assert rows_of(opened(path, **layout), ["x"], careful=True) == [("A", "1", [value])]


@pytest.mark.parametrize("text", ["1,23", "1,2345", "1,234,56", "12,345.6.7"])
def test_a_number_grouped_in_another_way_is_a_bad_row(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"code;day;x\nA;1;{text}\n", encoding="utf-8")
    bad: list[BadRow] = []
    list(opened(path, thousands=",").checked(["x"], None, bad))
    assert [(row.line, row.reason, row.text) for row in bad] == [(2, "x is not a number", text)]


def test_a_wide_table_is_melted_and_an_empty_cell_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "close.csv"
    path.write_text("day,A,B,C\n2024-01-01,1,,3\n2024-01-02,4,5,\n", encoding="utf-8")
    table = opened(path, wide="*")
    assert table.names == ["code", "day", "close"]
    assert table.number_columns() == ["close"]
    expected = [
        ("A", "2024-01-01", [1.0]),
        ("C", "2024-01-01", [3.0]),
        ("A", "2024-01-02", [4.0]),
        ("B", "2024-01-02", [5.0]),
    ]
    assert rows_of(table, ["close"]) == expected
    assert rows_of(opened(path, wide="price", divide={"price": 2.0}), ["price"])[3] == ("B", "2024-01-02", [2.5])


def test_a_wide_table_is_melted_in_blocks_of_bounded_size(tmp_path: Path) -> None:
    names = [f"E{i:04d}" for i in range(2000)]
    values: Float64 = np.arange(200 * 2000, dtype=np.float64).reshape(200, 2000)
    wide = pd.DataFrame(values, columns=names, index=pd.Index(range(200), name="day"))
    wide.to_csv(tmp_path / "x.csv")
    blocks = list(opened(tmp_path / "x.csv", wide="x").blocks(["x"], None))
    assert max(len(block.line) for block in blocks) <= 65_536
    found = np.concatenate([block.values[:, 0] for block in blocks])
    np.testing.assert_array_equal(found, values.ravel())


def test_the_entity_is_taken_from_the_file_name(tmp_path: Path) -> None:
    path = tmp_path / "BRK.B-1d.csv.gz"
    path.write_bytes(gzip.compress(b"day,x\n1,2\n"))
    table = opened(path, entity_from_file="{entity}-1d")
    assert table.names == ["code", "day", "x"]
    assert rows_of(table, ["x"]) == [("BRK.B", "1", [2.0])]
    with pytest.raises(DataError, match=r"the file name holds no entity, found 'BRK\.B-1d', allowed: \{entity\}-1h"):
        opened(path, entity_from_file="{entity}-1h")


def test_a_column_that_some_files_lack_is_refused_by_name_or_null(tmp_path: Path) -> None:
    for name, text in (("1.csv", "code,day,x,y\nA,1,1,2\n"), ("2.csv", "code,day,y,z\nA,2,3,4\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    files = [tmp_path / "1.csv", tmp_path / "2.csv"]
    tables = open_tables(files, Layout(), "code", "day")
    with pytest.raises(DataError, match=r"2\.csv: the columns are not those of 1\.csv, found no 'x' in it, and 'z'"):
        check_columns(tables, ["x", "y"], Layout())
    layout = Layout(missing_columns="null")
    check_columns(tables, ["x", "y", "z"], layout)
    np.testing.assert_array_equal(rows_of(tables[1], ["x", "y", "z"])[0][2], [np.nan, 3.0, 4.0])
    with pytest.raises(ConfigError, match="unknown column, found 'w'"):
        check_columns(tables, ["w"], layout)


def test_freqtrade_candles_are_read_from_feather_and_json(tmp_path: Path) -> None:
    moments = pd.to_datetime(["2024-01-01 00:00", "2024-01-01 01:00"], utc=True).as_unit("ms")
    candles = pd.DataFrame(
        {"date": moments, "open": [1.0, 2.0], "high": 3.0, "low": 0.5, "close": 2.0, "volume": [9.0, 8.0]}
    )
    feather.write_feather(candles, str(tmp_path / "BTC_USDT-1h.feather"), compression="lz4")
    lists = [[1704067200000, 1.0, 3.0, 0.5, 2.0, 9.0], [1704070800000, 2.0, 3.0, 0.5, 2.0, 8.0]]
    (tmp_path / "ETH_USDT_USDT-1h-futures.json").write_text(json.dumps(lists), encoding="utf-8")
    files = [tmp_path / "BTC_USDT-1h.feather", tmp_path / "ETH_USDT_USDT-1h-futures.json"]
    first, second = open_tables(files, Layout(format="freqtrade"), "pair", "date")
    values = ["open", "volume"]
    assert [row[0] for row in rows_of(first, values)] == ["BTC/USDT"] * 2
    assert rows_of(second, values) == [
        ("ETH/USDT:USDT", "1704067200000", [1.0, 9.0]),
        ("ETH/USDT:USDT", "1704070800000", [2.0, 8.0]),
    ]
    with pytest.raises(DataError, match="not the file name of a pair, found 'x'"):
        open_tables([tmp_path / "x.feather"], Layout(format="freqtrade"), "pair", "date")


def test_lean_bars_are_read_from_a_zip_without_header_and_scaled(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "spy.zip", "w") as archive:
        archive.writestr("spy.csv", "20131001 00:00,1660000,1675001,1658000,1670900,82312345\n")
    (table,) = open_tables([tmp_path / "spy.zip"], Layout(format="lean"), "symbol", "date")
    values = ["open", "high", "low", "close", "volume"]
    assert table.number_columns() == values
    assert rows_of(table, values) == [("SPY", "20131001 00:00", [166.0, 167.5001, 165.8, 167.09, 82312345.0])]


def write_provider(folder: Path) -> Path:
    """A Qlib provider byte by byte: float32, the first value the place of the second in the calendar."""
    (folder / "calendars").mkdir(parents=True)
    (folder / "calendars" / "day.txt").write_text("2020-01-01\n2020-01-02\n2020-01-03\n2020-01-06\n", encoding="utf-8")
    (folder / "instruments").mkdir()
    (folder / "instruments" / "all.txt").write_text("SH600000\t2020-01-01\t2020-01-06\n", encoding="utf-8")
    place = folder / "features" / "sh600000"
    place.mkdir(parents=True)
    np.array([0, 1, 2, np.nan, 4], "<f4").tofile(place / "close.day.bin")
    np.array([1, 20, np.nan, 40], "<f4").tofile(place / "volume.day.bin")
    return folder


def test_a_qlib_provider_is_read_by_its_published_layout(tmp_path: Path) -> None:
    files = sorted((write_provider(tmp_path / "q") / "features").glob("*/*.bin"))
    (table,) = open_tables(files, Layout(), "code", "day")
    assert table.number_columns() == ["close", "volume"]
    expected: Rows = [
        ("SH600000", "2020-01-01", [1.0, np.nan]),
        ("SH600000", "2020-01-02", [2.0, 20.0]),
        ("SH600000", "2020-01-06", [4.0, 40.0]),
    ]
    same(rows_of(table, ["close", "volume"]), expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.array([2, 1, 2, 3], "<f4").tobytes(), "reaches beyond the calendar, found 5 of 4 times"),
        (np.array([0.5, 1], "<f4").tobytes(), "not a bin file of Qlib, found 8 bytes, first value 0.5"),
        (b"abc", "not a bin file of Qlib, found 3 bytes"),
    ],
)
def test_a_damaged_bin_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = write_provider(tmp_path / "q") / "features" / "sh600000" / "close.day.bin"
    path.write_bytes(content)
    (table,) = open_tables([path], Layout(), "code", "day")
    with pytest.raises(DataError, match=message):
        rows_of(table, ["close"])


def test_a_file_that_swells_beyond_reason_is_stopped_while_it_is_read(tmp_path: Path) -> None:
    row = b"A,2024-01-01,1\n"
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"code,day,x\n" + row * 700_000))
    with pytest.raises(DataError, match="swells beyond all reason") as error:
        rows_of(opened(tmp_path / "bomb.csv.gz"), ["x"])
    assert "allowed: 200 bytes per byte" in str(error.value)
    assert len(rows_of(opened(tmp_path / "bomb.csv.gz", max_expansion=1e6), ["x"])) == 700_000


def test_integer_times_of_a_typed_column_are_read_by_their_format(tmp_path: Path) -> None:
    pd.DataFrame({"code": ["A"], "day": [1_704_067_200], "x": [1.0]}).to_parquet(tmp_path / "x.parquet")
    (table,) = open_tables([tmp_path / "x.parquet"], Layout(), "code", "day")
    (block,) = table.blocks(["x"], TimeFormat("epoch_s"))
    assert block.time.to_pylist() == ["1704067200"]
    (block,) = table.blocks(["x"], TimeFormat("step"))
    assert block.time.to_pylist() == [1_704_067_200]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"decimal": ",", "delimiter": ","}, "delimiter as well"),
        ({"thousands": "."}, "decimal mark or the delimiter"),
        ({"wide": "x", "entity_from_file": "{entity}"}, "names its entities in the header"),
        ({"entity_from_file": "x"}, "needs {entity} once"),
        ({"columns": ("a", "a")}, "occurs twice"),
        ({"divide": {"x": 0.0}}, "other than zero"),
    ],
)
def test_a_layout_that_contradicts_itself_is_refused(layout: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layout(**layout)
