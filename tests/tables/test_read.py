import csv
import gzip
import io
import math
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Float64
from seawall.errors import ConfigError, DataError
from seawall.tables import read
from seawall.tables.numbers import NULL_TEXTS
from seawall.tables.read import (
    BLOCK_BYTES,
    BadRow,
    RawBlock,
    TypedReadError,
    column_names,
    number_columns,
    read_blocks,
    read_rows_checked,
    require_columns,
)

KEYS = ("code", "day")
Row = tuple[str | None, str | None, float]


def rows_of(blocks: list[RawBlock]) -> tuple[list[str | None], list[str | None], Float64, list[int]]:
    entities = [name for block in blocks for name in block.entity.to_pylist()]
    times = [time for block in blocks for time in block.time.to_pylist()]
    values = np.concatenate([block.values for block in blocks]) if blocks else np.empty((0, 0))
    return entities, times, values, [int(line) for block in blocks for line in block.line]


def read_fast(path: Path, *values: str) -> tuple[list[str | None], list[str | None], Float64, list[int]]:
    return rows_of(list(read_blocks(path, *KEYS, values)))


def read_careful(
    path: Path, *values: str
) -> tuple[tuple[list[str | None], list[str | None], Float64, list[int]], list[BadRow]]:
    bad: list[BadRow] = []
    blocks = list(read_rows_checked(path, *KEYS, values, bad))
    return rows_of(blocks), bad


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=6) | st.sampled_from(
    ["007", "1e5", "NA", "nan", 'a"b', "a,b", " x ", "\U0001f30a", "-0"]
)
number_texts = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-(10**12), 10**12).map(str),
    st.sampled_from(
        [*NULL_TEXTS, "-nan", "NAN", "INF", "-inf", "1e400", "+5", "5.", ".5", " 7 ", "1E-3", "nan(ind)", "00012"]
    ),
)


@settings(deadline=None)
@given(st.lists(st.tuples(names, names, number_texts, number_texts), min_size=1, max_size=20), st.booleans())
def test_the_fast_way_equals_the_careful_way_and_pandas_on_clean_data(
    rows: list[tuple[str, str, str, str]], quote_all: bool
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL, lineterminator="\n")
    writer.writerow(["x", "code", "unused", "day", "y"])
    for code, day, x, y in rows:
        text.write(f"{x},")
        writer.writerow([code, "z", day])
        text.seek(text.tell() - 1)
        text.write(f",{y}\n")
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "clean.csv", text.getvalue())
        fast, (careful, bad) = read_fast(path, "x", "y"), read_careful(path, "x", "y")
    assert not bad
    assert fast[0] == careful[0]
    assert fast[1] == careful[1]
    np.testing.assert_array_equal(fast[2], careful[2])
    assert fast[3] == careful[3] == list(range(2, 2 + len(rows)))
    missing = [not quote_all and name in NULL_TEXTS for name, *_ in rows]
    assert fast[0] == [None if gone else name for gone, (name, *_) in zip(missing, rows, strict=True)]
    expected = pd.to_numeric(pd.Series([x.strip() for _, _, x, _ in rows]).map(judge))
    np.testing.assert_array_equal(fast[2][:, 0], expected.to_numpy(float))


def judge(text: str) -> float:
    return math.nan if text in NULL_TEXTS or text.lstrip("+-").lower().startswith("nan") else float(text)


def test_codes_keep_their_leading_zeros(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "code,day,x\n000001,20240102,1\n1,20240102,2\n")
    assert read_fast(path, "x")[0] == ["000001", "1"]


def test_an_unquoted_na_is_missing_and_a_quoted_one_is_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'code,day,x\nNA,d,1\n"NA",d,2\n')
    assert read_fast(path, "x")[0] == [None, "NA"]
    assert read_careful(path, "x")[0][0] == [None, "NA"]


def test_gzip_reads_like_the_plain_file(tmp_path: Path) -> None:
    text = "code,day,x\n" + "".join(f"E{i},d{i % 7},{i / 3}\n" for i in range(1000))
    plain = write(tmp_path / "x.csv", text)
    packed = tmp_path / "x.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    for one, other in zip(read_fast(plain, "x"), read_fast(packed, "x"), strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(other))


def test_a_mark_of_byte_order_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "\ufeffcode,day,x\r\nA,d,1\r\nB,d,2\r\n")
    assert column_names(path) == ["code", "day", "x"]
    assert read_fast(path, "x")[0] == ["A", "B"]


def test_lines_go_on_over_blocks(tmp_path: Path) -> None:
    row = "E,2024-01-01," + "1" * 200 + "\n"
    num_rows = 3 * BLOCK_BYTES // len(row)
    path = write(tmp_path / "x.csv", "code,day,x\n" + row * num_rows)
    blocks = list(read_blocks(path, *KEYS, ["x"]))
    assert len(blocks) > 2
    assert np.concatenate([block.line for block in blocks]).tolist() == list(range(2, num_rows + 2))


def test_a_value_that_is_no_number_ends_the_fast_way_and_the_careful_way_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "code,day,x,y\nA,d,1,1\nB,d,2,oops\nC,d,1.2.3,bad\nD,d,4,4\n")
    with pytest.raises(TypedReadError):
        read_fast(path, "x", "y")
    (entities, _, values, lines), bad = read_careful(path, "x", "y")
    assert (entities, values.tolist(), lines) == (["A", "D"], [[1.0, 1.0], [4.0, 4.0]], [2, 5])
    assert bad == [
        BadRow(str(path), 3, "y is not a number", "oops"),
        BadRow(str(path), 4, "x is not a number", "1.2.3"),
    ]


def test_a_wrong_number_of_cells_is_found_by_line_in_order_with_the_others(tmp_path: Path) -> None:
    text = "code,day,x\nA,d,1\nB,d\nC,d,oops\nD,d,4,5,6\nE,d,5\n,,\n"
    (entities, _, _, lines), bad = read_careful(write(tmp_path / "x.csv", text), "x")
    assert (entities, lines) == (["A", "E", None], [2, 6, 7])
    assert [(row.line, row.reason) for row in bad] == [
        (3, "wrong number of cells"),
        (4, "x is not a number"),
        (5, "wrong number of cells"),
    ]
    assert bad[0].text == "2 instead of 3: B,d"
    assert bad[2].text == "5 instead of 3: D,d,4,5,6"


@pytest.mark.parametrize("every", [1, 3, 1000])
def test_lines_stay_right_over_blocks_with_many_bad_rows(tmp_path: Path, every: int) -> None:
    num_rows = 40_000
    good = "E%06d,2024-01-01,12345.678901234567890123456789\n"
    text = "".join("short,row\n" if i % every == 0 else good % i for i in range(num_rows))
    path = write(tmp_path / "x.csv", "code,day,x\n" + text)
    most_held = 0
    bad: list[BadRow] = []
    seen: list[int] = []
    for block in read_rows_checked(path, *KEYS, ["x"], bad):
        assert [f"E{line - 2:06d}" for line in block.line] == block.entity.to_pylist()
        most_held = max(most_held, len(bad))
        seen += [row.line for row in bad]
        bad.clear()
    seen += [row.line for row in bad]
    assert seen == [i + 2 for i in range(num_rows) if i % every == 0]
    assert every == 1 or most_held < num_rows / every, "bad rows are handed out block by block"


def test_the_names_of_a_file_with_bad_rows_are_still_known(tmp_path: Path) -> None:
    assert column_names(write(tmp_path / "x.csv", "code,day,x\nonly one cell\n")) == ["code", "day", "x"]


def test_a_header_without_rows_has_names_and_no_blocks(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "code,day,x\n")
    assert column_names(path) == ["code", "day", "x"]
    assert list(read_blocks(path, *KEYS, ["x"])) == []
    assert list(read_rows_checked(path, *KEYS, ["x"], [])) == []


def test_a_line_break_inside_quotes_is_part_of_the_name(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'code,day,x\n"two\nlines",d,1\nB,d,2\n')
    assert read_fast(path, "x")[0] == ["two\nlines", "B"]


def test_a_line_break_inside_quotes_over_a_block_border_makes_bad_rows_and_no_silent_ones(tmp_path: Path) -> None:
    filler = "A,d,1\n"
    before = filler * ((BLOCK_BYTES - 20) // len(filler))
    path = write(tmp_path / "x.csv", "code,day,x\n" + before + '"' + "long\n" * 100 + '",d,2\n' + filler * 10)
    with pytest.raises(TypedReadError):
        read_fast(path, "x")
    (entities, *_), bad = read_careful(path, "x")
    assert bad
    assert set(entities) == {"A"}


def broken_gzip(path: Path) -> Path:
    data = gzip.compress(("code,day,x\n" + "".join(f"E{i},d,{math.sin(i)}\n" for i in range(100_000))).encode())
    path.write_bytes(data[: len(data) * 3 // 4])
    return path


def flipped_gzip(path: Path) -> Path:
    data = bytearray(
        gzip.compress(("code,day,x\n" + "".join(f"E{i},d,{math.sin(i)}\n" for i in range(100_000))).encode())
    )
    data[-6] ^= 1
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("make", [broken_gzip, flipped_gzip])
def test_a_damaged_gzip_file_is_refused_by_both_ways(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "x.csv.gz")
    for way in (read_fast, read_careful):
        with pytest.raises(DataError, match="cannot be read to its end"):
            way(path, "x")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("binary.csv", bytes([0x80, 0xFF, 0xFE, 10]) * 50),
        ("latin.csv", b"code,day,x\nM\xfcnchen,d,1\n"),
        ("plain.csv.gz", b"code,day,x\nA,d,1\n"),
        ("junk.parquet", b"PAR1 junk PAR1"),
        ("long.csv", b"code,day,x\n" + b"y" * (3 * BLOCK_BYTES) + b",d,1\n"),
    ],
)
def test_what_is_no_table_is_refused_and_named(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)

    def whole() -> None:
        require_columns(path, ["code", "day", "x"])
        try:
            read_fast(path, "x")
        except TypedReadError:
            read_careful(path, "x")

    with pytest.raises(DataError) as error:
        whole()
    assert str(path) in str(error.value)


def test_a_header_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"code,day,\xfc\nA,d,1\n")
    for ask in (column_names, number_columns):
        with pytest.raises(DataError, match="UTF-8"):
            ask(path)


def test_a_column_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a column name occurs twice, found 'x'"):
        column_names(write(tmp_path / "x.csv", "code,x,day,x\nA,1,d,2\n"))
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    pq.write_table(twice, tmp_path / "x.parquet")
    with pytest.raises(DataError, match="a column name occurs twice, found 'x'"):
        column_names(tmp_path / "x.parquet")


def test_an_unknown_column_is_refused_with_the_nearest_names(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "symbol,date,close,volume\n")
    require_columns(path, ["symbol", "close"])
    with pytest.raises(ConfigError, match="unknown column, found 'closing'") as error:
        require_columns(path, ["symbol", "closing"])
    assert "Did you mean 'close'?" in str(error.value)
    with pytest.raises(ConfigError, match="Known names: 'symbol', 'date', 'close', 'volume'"):
        require_columns(path, ["xyz"])


def test_number_columns_are_told_from_texts(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "code,day,close,note,count\nA,2024-01-01,1.5,hello,3\nB,2024-01-02,NA,,4\n")
    assert number_columns(path) == ["close", "count"]
    pq.write_table(
        pa.table({"code": ["A"], "close": [1.5], "n": [1], "flag": [True], "t": [date(2024, 1, 1)]}),
        tmp_path / "x.parquet",
    )
    assert number_columns(tmp_path / "x.parquet") == ["close", "n", "flag"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (pa.array(["A", None, "B"]), ["A", None, "B"]),
        (pa.array(["A", None, "B"], pa.large_string()), ["A", None, "B"]),
        (pa.array(["A", None, "B"]).dictionary_encode(), ["A", None, "B"]),
        (pa.array([7, None, 9], pa.int32()), [7, None, 9]),
        (pa.array([date(2024, 1, 1), None, date(2024, 1, 2)]), [date(2024, 1, 1), None, date(2024, 1, 2)]),
    ],
)
def test_parquet_keys_of_every_kind_keep_their_values(tmp_path: Path, keys: pa.Array, expected: list[object]) -> None:
    table = pa.table({"code": keys, "day": keys, "x": pa.array([1, None, 3], pa.int16())})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    entities, times, values, lines = read_fast(tmp_path / "x.parquet", "x")
    assert entities == expected
    assert times == expected
    np.testing.assert_array_equal(values[:, 0], [1.0, np.nan, 3.0])
    assert lines == [1, 2, 3]


def test_parquet_reads_only_the_asked_columns_in_the_asked_order(tmp_path: Path) -> None:
    table = pa.table(
        {
            "y": [1.0],
            "code": ["A"],
            "text": ["no number"],
            "x": pa.array([2], pa.decimal128(5, 2)),
            "day": ["d"],
            "b": [True],
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    assert read_fast(tmp_path / "x.parquet", "x", "y", "b")[2].tolist() == [[2.0, 1.0, 1.0]]


def test_parquet_with_a_key_or_value_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"code": [1.5], "day": ["d"], "x": ["text"]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="a key column must be text, integer, date or timestamp, found double"):
        read_fast(tmp_path / "x.parquet")
    pq.write_table(pa.table({"code": ["A"], "day": ["d"], "x": ["text"]}), tmp_path / "y.parquet")
    with pytest.raises(DataError, match=r"y\.parquet: x: not a number column, found string"):
        read_fast(tmp_path / "y.parquet", "x")


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"code": ["A"] * 1000, "day": ["d"] * 1000}), tmp_path / "x.parquet")
    data = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="cannot be parsed"):
        column_names(tmp_path / "x.parquet")


def test_memory_does_not_hold_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "BLOCK_BYTES", 4096)
    path = write(tmp_path / "x.csv", "code,day,x\n" + "".join(f"E{i},d,{i}\n" for i in range(20_000)))
    sizes = [len(block.line) for block in read_blocks(path, *KEYS, ["x"])]
    assert sum(sizes) == 20_000
    assert max(sizes) < 800
