"""Bad input by name: how each file is made, and what the command must answer."""

import gzip
import io
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

KEYS = ("--entity", "symbol", "--time", "date")
NAMED = (*KEYS, "--features", "close")
GOOD = "symbol,date,close\nA,2020-01-01,1.5\nA,2020-01-02,2.5\nB,2020-01-01,3.5\n"
LONG = "symbol,date,close\n" + "".join(f"Z,2020-01-{day:02d},1.5\n" for day in range(1, 31))


@dataclass(frozen=True, slots=True)
class Case:
    """One bad input: ``make`` writes it into a folder and gives the sources."""

    name: str
    make: Callable[[Path], list[str]]
    pieces: tuple[str, ...]
    options: tuple[str, ...] = KEYS
    code: int = 4


def text(content: str, name: str = "m.csv") -> Callable[[Path], list[str]]:
    return raw(content.encode(), name)


def raw(content: bytes, name: str = "m.csv") -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        (folder / name).write_bytes(content)
        return [str(folder / name)]

    return make


def rows(*lines: str) -> Callable[[Path], list[str]]:
    """The good rows, then others."""
    return text(GOOD + "".join(f"{line}\n" for line in lines))


def two(first: str, second: str) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        return [*text(first, "1.csv")(folder), *text(second, "2.csv")(folder)]

    return make


def truncated_gzip(folder: Path) -> list[str]:
    packed = gzip.compress("".join(f"A,{day},{day * 7919 % 1000}\n" for day in range(20_000)).encode())
    return raw(gzip.compress(b"symbol,date,close\n") + packed[: len(packed) // 2], "m.csv.gz")(folder)


def flipped_gzip(folder: Path) -> list[str]:
    packed = bytearray(gzip.compress(GOOD.encode()))
    packed[-6] ^= 0xFF
    return raw(bytes(packed), "m.csv.gz")(folder)


def gzip_bomb(folder: Path) -> list[str]:
    lines = b"A,1,1.000000000000000000000000000000000000\n" * 500_000
    return raw(gzip.compress(b"symbol,date,close\n" + lines), "m.csv.gz")(folder)


def zip_bomb(folder: Path) -> list[str]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m.csv", "symbol,date,close\n" + "A,2020-01-01,1\n" * 700_000)
    return raw(buffer.getvalue(), "m.zip")(folder)


def encrypted_zip(folder: Path) -> list[str]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m.csv", GOOD)
    content = bytearray(buffer.getvalue())
    central = content.index(b"PK\x01\x02")
    content[6] |= 1
    content[central + 8] |= 1
    return raw(bytes(content), "m.zip")(folder)


def damaged_zip(folder: Path) -> list[str]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m.csv", GOOD)
    content = buffer.getvalue().replace(b"2.5", b"9.5", 1)
    return raw(content, "m.zip")(folder)


def good_parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"symbol": ["A", "B"], "date": ["2020-01-01"] * 2, "close": [1.0, 2.0]}), buffer)
    return buffer.getvalue()


def parquet(**columns: object) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        pq.write_table(pa.table({"symbol": ["A", "B"], "date": ["2020-01-01"] * 2, **columns}), folder / "m.parquet")
        return [str(folder / "m.parquet")]

    return make


def broken_footer(folder: Path) -> list[str]:
    content = bytearray(good_parquet())
    length = struct.unpack("<I", content[-8:-4])[0]
    content[-8 - length : -8] = os.urandom(length)
    return raw(bytes(content), "m.parquet")(folder)


def link_out(folder: Path) -> list[str]:
    (folder / "inside").mkdir()
    (folder / "secret.csv").write_text(GOOD, encoding="utf-8")
    (folder / "inside" / "m.csv").symlink_to(folder / "secret.csv")
    return [str(folder / "inside")]


def link_loop(folder: Path) -> list[str]:
    (folder / "m.csv").symlink_to(folder / "m.csv")
    return [str(folder / "m.csv")]


def pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "m.csv")
    return [str(folder / "m.csv")]


def workbook(folder: Path) -> list[str]:
    return raw(b"PK\x03\x04" + b"\0" * 200, "m.csv")(folder)


def no_table(folder: Path) -> list[str]:
    (folder / "empty").mkdir()
    (folder / "empty" / "notes.txt").write_text("nothing", encoding="utf-8")
    return [str(folder / "empty")]


def integers_beyond_range(folder: Path) -> list[str]:
    frame = pd.DataFrame({"symbol": ["A"], "date": [2**63], "close": [1.0]})
    frame.to_parquet(folder / "m.parquet")
    return [str(folder / "m.parquet")]


def feather_one(folder: Path) -> list[str]:
    return raw(b"FEA1" + b"\0" * 64, "m.feather")(folder)


CASES = [
    # files that are not what they say
    Case("a truncated gzip file", truncated_gzip, ("m.csv.gz", "cannot be read to its end", "Truncated")),
    Case("a gzip file with a wrong checksum", flipped_gzip, ("m.csv.gz", "cannot be read to its end")),
    Case("a gzip bomb", gzip_bomb, ("swells beyond all reason", "200 bytes per byte", "layout.max_expansion"), NAMED),
    Case("a zip bomb", zip_bomb, ("m.zip!m.csv", "swells beyond all reason"), NAMED),
    Case("an encrypted zip archive", encrypted_zip, ("the archive is encrypted", "'m.csv'")),
    Case("a zip archive whose member is damaged", damaged_zip, ("m.zip!m.csv", "Bad CRC-32")),
    Case("a zip archive without a table", raw(b"PK\x05\x06" + b"\0" * 18, "m.zip"), ("no table in the archive",)),
    Case("a text called gzip", raw(GOOD.encode(), "m.csv.gz"), ("not a .gz file", "b'symbol,d'")),
    Case("a gzip called text", raw(gzip.compress(GOOD.encode())), ("the file is a gzip file", "Name it .csv.gz")),
    Case("a workbook called CSV", workbook, ("a zip archive or an Excel workbook", "save a workbook as CSV")),
    Case("a Parquet file called CSV", raw(good_parquet()), ("the file is a Parquet file", "Name it .parquet")),
    Case("a Parquet file cut in two", raw(good_parquet()[:200], "m.parquet"), ("m.parquet", "cannot be parsed")),
    Case("a Parquet file with a broken footer", broken_footer, ("m.parquet", "cannot be")),
    Case("an encrypted Parquet file", raw(b"PARE" + b"\1" * 99 + b"PARE", "m.parquet"), ("an encrypted Parquet file",)),
    Case("a Feather file of version 1", feather_one, ("Feather file of version 1", "version 2, or as Parquet")),
    Case("text in UTF-16", raw(GOOD.encode("utf-16")), ("text in UTF-16", "iconv -f UTF-16")),
    Case("text in Latin-1", raw("symbol,date,close\nÉ,2020-01-01,1\n".encode("latin-1")), ("m.csv", "UTF-8")),
    Case("NUL bytes at the head", raw(GOOD.replace("A,", "A\0,").encode()), ("NUL bytes in a text",)),
    Case(
        "NUL bytes far inside",
        raw(GOOD.encode() + b"C,2020-01-01,1\n" * 500 + b"C\0,2020-01-02,1\n"),
        ("NUL bytes",),
        NAMED,
    ),
    # files that cannot be used
    Case("an empty file", raw(b""), ("the file is empty", "0 bytes")),
    Case("a header and no rows", text("symbol,date,close\n"), ("no rows", "a header only")),
    Case("blank lines alone", raw(b"\n\n\n"), ("m.csv", "cannot be parsed")),
    Case("a file that is not there", lambda folder: [str(folder / "m.csv")], ("file not found", "Check the path")),
    Case("a folder without tables", no_table, ("no file matches", ".csv, .csv.gz")),
    Case("a pipe", pipe, ("not a regular file", "a pipe")),
    Case("a device", lambda folder: ["/dev/zero"], ("not a regular file", "a device")),
    Case("a link out of the folder", link_out, ("a link leads out of the folder", "secret.csv")),
    Case("a link to itself", link_loop, ("m.csv",)),
    # lines and cells
    Case("a quote that does not end", rows('C,"2020-01-01,1', *["C,2020-01-02,1"] * 9), ("m.csv",), NAMED),
    Case(
        "a line too long for any table", raw(b"symbol,date,close\nA,2020-01-01," + b"1" * 90_000_000), ("m.csv",), NAMED
    ),
    Case("mixed delimiters", rows("C;2020-01-01;1"), ("line 5", "wrong number of cells", "1 instead of 3"), NAMED),
    Case("a cell too many", rows("C,2020-01-01,1,2"), ("line 5", "wrong number of cells", "4 instead of 3"), NAMED),
    Case("a header twice", text(LONG + GOOD), ("line 32", "close is not a number", "'close'"), NAMED),
    Case("a column name twice", text("symbol,date,close,close\nA,1,1,1\n"), ("a column name occurs twice", "'close'")),
    Case("columns without names", text("symbol,date,,\nA,1,1,1\n"), ("a column name occurs twice", "''")),
    Case(
        "a name of 10,000 letters twice",
        text("symbol,date," + "x" * 10_000 + "," + "x" * 10_000 + "\nA,1,1,1\n"),
        ("occurs twice",),
    ),
    Case("text among numbers", rows("C,2020-01-01,n.a."), ("line 5", "close is not a number", "'n.a.'"), NAMED),
    Case("thousands marks", rows('C,2020-01-01,"1,234.5"'), ("line 5", "close is not a number", "'1,234.5'"), NAMED),
    Case("a decimal comma", text(GOOD.replace(",", ";").replace(".", ",")), ("no column of numbers", "decimal")),
    Case("a number in currency", rows("C,2020-01-01,$5"), ("line 5", "close is not a number", "'$5'"), NAMED),
    Case("no entity in a row", rows(",2020-01-02,1"), ("line 5", "missing entity"), NAMED),
    Case("NaN as an entity", rows("NaN,2020-01-02,1"), ("line 5", "missing entity"), NAMED),
    Case("no time in a row", rows("C,,1"), ("line 5", "time is missing or does not fit the format"), NAMED),
    # columns
    Case(
        "an unknown entity column",
        rows(),
        ("unknown column", "'sybmol'", "Did you mean 'symbol'?"),
        ("--entity", "sybmol", "--time", "date"),
        2,
    ),
    Case("no number column", text("symbol,date,note\nA,2020-01-01,x\n"), ("no column of numbers", "'note'")),
    Case(
        "columns that change between files",
        two(GOOD, GOOD.replace("close", "last")),
        ("2.csv", "columns are not those of 1.csv", "no 'close'"),
        NAMED,
    ),
    Case(
        "a column more in a later file",
        two(GOOD, "symbol,date,close,open\nZ,2020-01-01,1,2\n"),
        ("2.csv", "a new 'open'"),
    ),
    Case("nested columns", parquet(close=[[1.0], [2.0]]), ("no column of numbers",)),
    Case(
        "a nested column asked for",
        parquet(close=[[1.0], [2.0]]),
        ("close", "not a number column", "list"),
        NAMED,
    ),
    Case(
        "a text column asked for",
        parquet(close=["1", "2"]),
        ("close", "not a number column", "string"),
        NAMED,
    ),
    Case(
        "a feature that is never there",
        text("symbol,date,close,x\nA,2020-01-01,1,\n"),
        ("every value is missing",),
        (*KEYS, "--features", "close,x"),
    ),
    # times
    Case("an impossible date", text(GOOD.replace("2020-01-02", "2020-02-30")), ("2020-02-30",), NAMED),
    Case("the year 0001", text(GOOD.replace("2020-01-02", "0001-01-01")), ("0001-01-01",), NAMED),
    Case("the year 9999", text(GOOD.replace("2020-01-02", "9999-12-31")), ("9999-12-31",), NAMED),
    Case(
        "day and month that could be either",
        text(GOOD.replace("2020-01-", "03/04/20")),
        ("ambiguous", "%d/%m/%Y", "%m/%d/%Y"),
        NAMED,
    ),
    Case(
        "times with and without an offset",
        text(GOOD.replace("2020-01-02", "2020-01-02T00:00+02:00")),
        ("some times have an offset and some have none",),
        NAMED,
    ),
    Case(
        "spreadsheet dates",
        text(GOOD.replace("2020-01-0", "4383")),
        ("dates as spreadsheets count them", "step or excel"),
        NAMED,
    ),
    Case(
        "a time that does not exist in its zone",
        text(GOOD.replace("2020-01-02", "2020-03-08 02:30")),
        ("line 3", "does not fit"),
        (*KEYS, "--timezone", "America/New_York"),
    ),
    Case("an unknown time zone", rows(), ("unknown time zone", "'Mars'"), (*KEYS, "--timezone", "Mars"), 2),
    Case("a time format that is none", rows(), ("not a time format", "'YYYY'"), (*KEYS, "--time-format", "YYYY"), 2),
    Case("integers beyond int64 as times", integers_beyond_range, ("date", "uint64"), NAMED),
    Case(
        "times of two kinds",
        two(GOOD, "symbol,date,close\nA,7,1\n"),
        ("no known time format reads all values", "'7'"),
        NAMED,
    ),
    # keys
    Case(
        "a key twice", rows("A,2020-01-02,9"), ("occurs twice", "('A', 2020-01-02)", "duplicates: first or last"), NAMED
    ),
    Case("a key twice over files", two(GOOD, GOOD), ("occurs twice", "2 more"), NAMED),
    # other programs' files
    Case("JSON that is no list of rows", text('{"a": {"b": 1}}', "m.json"), ("not a flat JSON list of rows",)),
    Case(
        "JSON objects whose keys change",
        text('[{"symbol": "A", "date": 1, "close": 1}, {"x": 1}]', "m.json"),
        ("keys change between rows",),
    ),
    Case(
        "a pair that is no file name of freqtrade",
        text(GOOD, "x.csv"),
        ("not the file name of a pair",),
        ("--format", "freqtrade"),
    ),
    Case(
        "a file name without the entity",
        text(GOOD, "x.csv"),
        ("the file name holds no entity",),
        (*KEYS, "--entity-from-file", "{entity}-1d"),
    ),
]
