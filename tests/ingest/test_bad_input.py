import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from seawall.errors import ConfigError, DataError, SeawallError
from seawall.ingest.run import ingest
from seawall.stores.panel import Panel
from tests.ingest.world import BUDGET_BYTES, ingested, market, settings

SIMPLE: dict[str, Any] = {
    "prices": ("close",),
    "values": (),
    "derived": {},
    "adjustment": {},
    "features": {"close": "close"},
    "targets": {},
    "universe": None,
}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def small(folder: Path, *rows: str, **changes: object) -> tuple[Panel, dict[str, Any]]:
    """Ingest a small CSV of symbol, date, close."""
    source = write(folder / "m.csv", "symbol,date,close\n" + "".join(f"{row}\n" for row in rows))
    return ingested(folder / "m.panel", source, **{**SIMPLE, **changes})


GOOD = ("A,2020-01-01,1", "A,2020-01-02,2", "B,2020-01-01,3")


def test_a_duplicate_key_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the key \(symbol, date\) occurs twice, found \('A', 2020-01-02\)"):
        small(tmp_path, *GOOD, "A,2020-01-02,2")


@pytest.mark.parametrize(("policy", "kept"), [("first", 2.0), ("last", 9.0)])
def test_duplicates_are_resolved_by_the_order_of_the_source_and_counted(
    tmp_path: Path, policy: str, kept: float
) -> None:
    panel, report = small(tmp_path, *GOOD, "A,2020-01-02,7", "A,2020-01-02,9", duplicates=policy)
    assert panel.prices[:, 0].tolist() == [1.0, kept, 3.0]
    assert report["duplicates"] == 2
    assert report["rows_read"] == 5
    assert report["rows_kept"] == 3


def test_duplicates_over_files_follow_the_order_of_files(tmp_path: Path) -> None:
    for name, close in (("2.csv", 2), ("1.csv", 1), ("3.csv", 3)):
        write(tmp_path / name, f"symbol,date,close\nA,2020-01-01,{close}\n")
    last, _ = ingested(tmp_path / "m.panel", tmp_path / "*.csv", **SIMPLE, duplicates="last")
    assert last.prices.tolist() == [[3.0]]
    named = [tmp_path / name for name in ("3.csv", "1.csv", "2.csv")]
    first, _ = ingested(tmp_path / "m.panel", *named, **SIMPLE, duplicates="first")
    assert first.prices.tolist() == [[3.0]]


BAD_ROWS = {
    "a value that is no number": ("B,2020-01-02,oops", "close is not a number, found 'oops'"),
    "too few cells": ("B,2020-01-02", "wrong number of cells, found '2 instead of 3: B,2020-01-02'"),
    "too many cells": ("B,2020-01-02,1,2", "wrong number of cells, found '4 instead of 3: B,2020-01-02,1,2'"),
    "no entity": (",2020-01-02,1", "missing entity"),
    "no time": ("B,,1", "time is missing or does not fit the format, found 'None'"),
    "an impossible date": ("B,2020-02-30,1", "does not fit the format, found '2020-02-30'"),
    "another time format": ("B,31/01/2020,1", "does not fit the format, found '31/01/2020'"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_stops_ingest_with_file_and_line_or_is_left_out_and_counted(tmp_path: Path, case: str) -> None:
    row, message = BAD_ROWS[case]
    many = [f"C,{day:%Y-%m-%d},{number}" for number, day in enumerate(pd.date_range("2000-01-01", periods=25_000))]
    rows = (*many, *GOOD, row)  # late enough that no sample sees it
    with pytest.raises(DataError) as error:
        small(tmp_path, *rows)
    assert str(error.value).startswith(f"{tmp_path / 'm.csv'}, line {len(rows) + 1}: ")
    assert message in str(error.value)
    assert "max_bad_rows" in str(error.value)
    panel, report = small(tmp_path, *rows, max_bad_rows=1)
    assert panel.shape.num_rows == report["rows_kept"] == len(rows) - 1
    assert report["rows_read"] == len(rows)
    assert sum(report["bad_rows"].values()) == 1
    (listed,) = report["first_bad_rows"]
    assert f"m.csv, line {len(rows) + 1}: " in listed


def test_more_bad_rows_than_allowed_are_refused_with_the_first(tmp_path: Path) -> None:
    rows = ("A,2020-01-03,x", *GOOD, "A,2020-01-04,y", "A,2020-01-05,1,1")
    _, report = small(tmp_path, *rows, max_bad_rows=3)
    assert report["bad_rows"] == {"close is not a number": 2, "wrong number of cells": 1}
    assert report["rows_read"] == 6
    with pytest.raises(DataError, match="line 2: close is not a number") as error:
        small(tmp_path, *rows, max_bad_rows=2)
    assert "allowed: 2 bad rows" in str(error.value)


def test_bad_rows_of_the_careful_reading_are_not_counted_twice(tmp_path: Path) -> None:
    """The fast reading sees the missing entity first, then fails at the text; the careful one starts anew."""
    filler = [f"C,{day:%Y-%m-%d},{number}" for number, day in enumerate(pd.date_range("1800-01-01", periods=80_000))]
    _, report = small(tmp_path, ",2020-01-02,1", *filler, "A,2020-01-03,x", max_bad_rows=5)
    assert report["bad_rows"] == {"close is not a number": 1, "missing entity": 1}
    source = tmp_path / "m.csv"
    assert [text.split(": ")[0] for text in report["first_bad_rows"]] == [f"{source}, line 2", f"{source}, line 80003"]
    assert report["rows_kept"] == 80_000


def test_the_first_bad_row_is_named_with_its_own_file(tmp_path: Path) -> None:
    good, bad = (write(tmp_path / name, "symbol,date,close\nA,2020-01-01,1\n") for name in ("1.csv", "2.csv"))
    good.write_text("symbol,date,close\nA,2020-01-01,1\nB,2020-01-01,x\n")
    bad.write_text("symbol,date,close\nA,2020-01-02,1\nA,2020-01-03,1\n,2020-01-01,x\n")
    with pytest.raises(DataError, match=r"1\.csv, line 3"):
        ingested(tmp_path / "m.panel", good, bad, **SIMPLE, max_bad_rows=1)


def test_drop_rules_are_counted_by_name_and_the_first_that_fits_counts(tmp_path: Path) -> None:
    rules = {"cheap": "close < 2", "odd": "close in (1, 3)", "early": "date < DATE '2019-01-01'"}
    panel, report = small(tmp_path, *GOOD, "A,2018-01-01,5", "C,2020-01-01,3", drop_rows=rules)
    assert report["dropped_rows"] == {"cheap": 1, "early": 1, "odd": 2}
    assert panel.prices.tolist() == [[2.0]]
    assert panel.entities == ["A"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("clos > 1", r"ingest\.drop_rows: rule: the expression names a column that is not read, found 'clos'"),
        ("lead(close) OVER (ORDER BY __id) > 1", r"ingest\.drop_rows: rule: the rule looks at other rows"),
        ("close > (SELECT avg(close) FROM rows)", r"ingest\.drop_rows: rule: the rule looks at other rows"),
    ],
)
def test_a_drop_rule_sees_one_row_and_nothing_else(tmp_path: Path, rule: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(tmp_path, *GOOD, *(f"D,2020-01-{day:02d},{day % 5}" for day in range(1, 25)), drop_rows={"rule": rule})


def test_rules_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row is left, found 3 rows read"):
        small(tmp_path, *GOOD, drop_rows={"all": "true"})


def test_a_feature_without_a_value_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ingest\.features: nothing: every value is missing"):
        small(tmp_path, *GOOD, features={"close": "close", "nothing": "lag(close, 5) OVER entity"})


def test_a_failing_feature_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ingest\.features: bad: the SQL expression fails"):
        small(tmp_path, *GOOD, features={"bad": "close + no_such_function(close)"})


def test_an_unknown_column_is_refused_with_the_nearest_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"m\.csv: unknown column, found 'closing'\. Did you mean 'close'\?"):
        small(tmp_path, *GOOD, prices=("closing",), features={"last": "closing"})


def test_a_column_missing_in_a_later_file_is_refused_before_any_row_is_read(tmp_path: Path) -> None:
    first = write(tmp_path / "1.csv", "symbol,date,close\nA,2020-01-01,1\n")
    second = write(tmp_path / "2.csv", "symbol,date,last\nA,2020-01-02,1\n")
    with pytest.raises(DataError, match=r"2\.csv: the columns are not those of 1\.csv, found no 'close' in it"):
        ingested(tmp_path / "m.panel", first, second, **SIMPLE)
    panel, _ = ingested(tmp_path / "m.panel", first, second, **SIMPLE, layout={"missing_columns": "null"})
    np.testing.assert_array_equal(panel.prices[:, 0], [1.0, np.nan])


def test_an_ambiguous_time_is_refused_and_a_declared_format_settles_it(tmp_path: Path) -> None:
    rows = ("A,03/04/2020,1", "A,04/04/2020,2")
    with pytest.raises(DataError, match=r"column date: the time format is ambiguous, found '03/04/2020'"):
        small(tmp_path, *rows)
    panel, _ = small(tmp_path, *rows, time_format="%d/%m/%Y")
    assert panel.times_as_datetime().astype("datetime64[D]").astype(str).tolist() == ["2020-04-03", "2020-04-04"]


def test_a_declared_format_that_cannot_be_held_to_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ingest\.time_format: not a time format"):
        small(tmp_path, *GOOD, time_format="%d")


def test_times_that_are_all_missing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        small(tmp_path, "A,,1", "B,,2")


def test_sources_with_different_kinds_of_time_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"symbol": ["A"], "date": [5], "close": [1.0]})
    frame.to_parquet(tmp_path / "2.parquet")
    first = write(tmp_path / "1.csv", "symbol,date,close\nA,2020-01-01,1\n")
    with pytest.raises(DataError, match=r"2\.parquet: sources disagree on the kind of time, found step"):
        ingested(tmp_path / "m.panel", first, tmp_path / "2.parquet", **SIMPLE)


def test_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows, found a header only"):
        small(tmp_path)


def test_a_declared_break_must_name_a_known_entity_and_a_readable_time(tmp_path: Path) -> None:
    wrong_name = {"declared": [{"entity": "AA", "time": "2020-01-02", "factor": 2.0}]}
    with pytest.raises(ConfigError, match=r"AA 2020-01-02: unknown entity, found 'AA'. Did you mean 'A'\?"):
        small(tmp_path, *GOOD, adjustment=wrong_name)
    wrong_time = {"declared": [{"entity": "A", "time": "02.01.2020", "factor": 2.0}]}
    with pytest.raises(ConfigError, match="the time does not fit the format of the source"):
        small(tmp_path, *GOOD, adjustment=wrong_time)


NAMES = [
    "A",
    "a",
    "007",
    "7",
    "NA",
    " A",
    "A ",
    'quo"te',
    "o'clock",
    "a,b",
    "two\nlines",
    "x'); DROP TABLE rows; --",
    "<script>alert(1)</script>",
    "\U0001f30a",
    "\u00e9",
    "e\u0301",
    "../../etc/passwd",
    "%s {0} \\",
    "n" * 10_000,
]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_hostile_entity_names_are_only_names(tmp_path: Path, kind: str) -> None:
    days = ["2020-01-01", "2020-01-02", "2020-01-03"]
    frame = pd.DataFrame(
        {"symbol": np.repeat(NAMES, 3), "date": days * len(NAMES), "close": np.arange(3.0 * len(NAMES)) + 1}
    ).sample(frac=1, random_state=0)
    source = tmp_path / f"m.{kind}"
    if kind == "csv":
        frame.to_csv(source, index=False, quoting=1)
    else:
        frame.to_parquet(source)
    panel, _ = ingested(tmp_path / "m.panel", source, **{**SIMPLE, "features": {"lag": "lag(close) OVER entity"}})
    assert panel.entities == sorted(NAMES, key=lambda name: name.encode())
    for number, name in enumerate(panel.entities):
        start, stop = panel.offsets[number : number + 2]
        first = 3.0 * NAMES.index(name) + 1
        assert panel.prices[start:stop, 0].tolist() == [first, first + 1, first + 2]
        np.testing.assert_array_equal(panel.features[start:stop, 0], [np.nan, first, first + 1])


@pytest.mark.parametrize(
    "column", ['clo"se', "close); --", "two\nlines", "\U0001f30a", "n" * 10_000, "Close %", "select"]
)
def test_hostile_column_names_are_only_names(tmp_path: Path, column: str) -> None:
    frame = pd.DataFrame({"symbol": ["A", "A"], "date": ["2020-01-01", "2020-01-02"], column: [1.0, 2.0]})
    frame.to_parquet(tmp_path / "m.parquet")
    quoted = '"' + column.replace('"', '""') + '"'
    names: dict[str, Any] = {**SIMPLE, "prices": (column,), "features": {column: f"{quoted} * 2"}}
    panel, _ = ingested(tmp_path / "m.panel", tmp_path / "m.parquet", **names)
    assert panel.names("features") == panel.names("prices") == [column]
    assert panel.features[:, 0].tolist() == [2.0, 4.0]


def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "m.csv"
    market().to_csv(source, index=False)

    def grow(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        if substep == "read and scatter":
            with source.open("a") as file:
                file.write("LATE,2020-01-01,1,1,1,1,1\n")

    with pytest.raises(DataError, match=r"m\.csv: the file changed while it was read"):
        ingest(settings(source), tmp_path / "m.panel", budget_bytes=BUDGET_BYTES, beat=grow)
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


Damage = Callable[[Path], dict[str, Any]]


def second_file(text: bytes) -> Damage:
    def add(folder: Path) -> dict[str, Any]:
        (folder / "z.csv").write_bytes(text)
        return {}

    return add


def cut_gzip(folder: Path) -> dict[str, Any]:
    packed = gzip.compress(b"symbol,date,open,high,low,close,volume\n" + b"A,2021-01-01,1,1,1,1,1\n" * 100_000)
    (folder / "z.csv.gz").write_bytes(packed[:-100])
    return {}


HEADER = b"symbol,date,open,high,low,close,volume\n"

FAILURES: dict[str, Damage] = {
    "a bad row in the last file": second_file(HEADER + b"A,2021-01-01,1,1,1,1,x\n"),
    "a duplicate in the last file": second_file(HEADER + b"SPLIT,2020-01-01,1,1,1,1,1\n"),
    "bytes that are no text": second_file(HEADER + b"\xff\xff,2021-01-01,1,1,1,1,1\n"),
    "a cut gzip file": cut_gzip,
    "a failing expression": lambda folder: {"features": {"bad": "nothing"}},
    "an expression that looks ahead": lambda folder: {"features": {"bad": "lead(close) OVER entity"}},
    "a feature without a value": lambda folder: {"features": {"bad": "NULL"}},
    "no row left": lambda folder: {"drop_rows": {"all": "true"}},
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failed_ingest_keeps_the_old_store_to_the_byte_and_leaves_no_litter(tmp_path: Path, case: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    market().to_csv(source / "m.csv", index=False)
    stores = tmp_path / "stores"
    ingested(stores / "m.panel", source)
    before = {path.relative_to(stores): path.read_bytes() for path in sorted(stores.rglob("*")) if path.is_file()}
    changes = FAILURES[case](source)
    with pytest.raises(SeawallError) as error:
        ingested(stores / "m.panel", source, **changes)
    assert error.value.exit_code in (2, 4)
    assert "Traceback" not in str(error.value)
    after = {path.relative_to(stores): path.read_bytes() for path in sorted(stores.rglob("*")) if path.is_file()}
    assert after == before
    assert [path.name for path in stores.iterdir()] == ["m.panel"]


@pytest.mark.parametrize("output", ["file.txt/m.panel", "file.txt", "thesis", "x" * 300])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path, output: str) -> None:
    write(tmp_path / "file.txt", "a file")
    (tmp_path / "thesis").mkdir()
    write(tmp_path / "thesis" / "chapter.txt", "years of work")
    source = write(tmp_path / "m.csv", "symbol,date,close\nA,2020-01-01,1\n")
    with pytest.raises(ConfigError, match=r"^output ") as error:
        ingested(tmp_path / output, source, **SIMPLE)
    assert error.value.exit_code == 2
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "m.csv", "thesis"]


def test_names_that_sql_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    for prices, word in ((("close", "Close"), "Close"), (("adjustment",), "adjustment"), (("Date",), "Date")):
        with pytest.raises(ValidationError, match=f"SQL cannot tell '{word}' from"):
            small(tmp_path, *GOOD, prices=prices)
    with pytest.raises(ValidationError, match="the entity column 'symbol' cannot be the time or a number"):
        small(tmp_path, *GOOD, prices=("symbol",))
