from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from seawall.arrays import Float64
from seawall.errors import BudgetError, ConfigError
from seawall.tables.engine import MINIMUM_LIMIT_BYTES, SqlEngine, limit_for_share, quoted
from seawall.units import MIB

WINDOW = "WINDOW entity AS (PARTITION BY __entity ORDER BY __time)"


def table(**columns: Sequence[float | None]) -> pa.Table:
    n = len(next(iter(columns.values())))
    keys = {"__id": np.arange(n), "__entity": np.zeros(n, np.int32), "__time": np.arange(n)}
    return pa.table({**keys, **{name: pa.array(values, pa.float64()) for name, values in columns.items()}})


def evaluate(folder: Path, rows: pa.Table, **expressions: str) -> Float64:
    with SqlEngine(64 * MIB, folder) as engine:
        return engine.evaluate(rows, expressions, window=WINDOW, where="ingest.features")


def test_expressions_come_back_in_the_order_of_rows_and_names(tmp_path: Path) -> None:
    rows = table(x=[1.0, 2.0, 4.0])
    found = evaluate(tmp_path, rows.take([2, 0, 1]), double="x * 2", before="lag(x) OVER entity")
    assert found[:, 0].tolist() == [2.0, 4.0, 8.0]
    assert np.isnan(found[0, 1])
    assert found[1:, 1].tolist() == [1.0, 2.0]


def test_null_is_nan_and_infinite_stays_infinite(tmp_path: Path) -> None:
    found = evaluate(tmp_path, table(x=[1.0, None, -1.0]), same="x", infinite="x * 'infinity'::DOUBLE", nothing="NULL")
    np.testing.assert_array_equal(found[:, 0], [1.0, np.nan, -1.0])
    np.testing.assert_array_equal(found[:, 1], [np.inf, np.nan, -np.inf])
    assert np.isnan(found[:, 2]).all()


def test_true_is_one_and_false_is_zero(tmp_path: Path) -> None:
    assert evaluate(tmp_path, table(x=[1.0, 3.0]), big="x > 2")[:, 0].tolist() == [0.0, 1.0]


def test_a_derived_column_is_used_like_a_column(tmp_path: Path) -> None:
    with SqlEngine(64 * MIB, tmp_path) as engine:
        found = engine.evaluate(
            table(x=[1.0, 2.0]), {"y": "d + x"}, derived={"d": "10 * x"}, window=WINDOW, where="ingest.features"
        )
    assert found[:, 0].tolist() == [11.0, 22.0]


def test_a_comment_at_the_end_of_an_expression_hurts_nobody(tmp_path: Path) -> None:
    assert evaluate(tmp_path, table(x=[1.0]), y="x -- the price", z="x + 1").tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    "name",
    [
        'qu"ote',
        "x); DROP TABLE rows; --",
        "line\nbreak",
        "\U0001f30a wave",
        "per cent %s {0}",
        "select",
        "a.b",
        "'",
        "\\",
        "n" * 10_000,
    ],
)
def test_a_hostile_column_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    rows = table(**{name: [1.0, 2.0], "x": [10.0, 20.0]})
    with SqlEngine(64 * MIB, tmp_path) as engine:
        found = engine.evaluate(rows, {name: f"{quoted(name)} + x"}, where="ingest.features")
    assert found[:, 0].tolist() == [11.0, 22.0]


@pytest.mark.parametrize(
    "text",
    [
        "(SELECT count(*) FROM read_csv('/etc/passwd'))",
        "(SELECT count(*) FROM '/etc/passwd')",
        "(SELECT count(*) FROM glob('/*'))",
        "(SELECT length(content) FROM read_text('/etc/passwd'))",
        "getenv('HOME')",
        "(SELECT count(*) FROM sniff_csv('/etc/passwd'))",
    ],
)
def test_an_expression_reaches_no_file_and_no_environment(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"ingest\.features: thief"):
        evaluate(tmp_path, table(x=[1.0]), thief=text)


def test_an_expression_cannot_loosen_the_settings(tmp_path: Path) -> None:
    with SqlEngine(64 * MIB, tmp_path) as engine:
        for statement in (
            "SET enable_external_access = true",
            "SET memory_limit = '8GB'",
            "INSTALL httpfs",
            "LOAD httpfs",
        ):
            with pytest.raises(ConfigError, match=r"x: thief"):
                engine.evaluate(table(x=[1.0]), {"thief": f"1) AS DOUBLE); {statement}; --"}, where="x")
            with pytest.raises(Exception, match=r"."):
                engine._connection.execute(statement)
        assert engine._connection.execute("SELECT current_setting('memory_limit')").fetchall() == [("64.0 MiB",)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clos", 'Known names: "close"'),
        ("close +", "syntax error"),
        ("avg(close)", "GROUP BY"),
        ("no_such_function(close)", "no_such_function"),
        ("CAST('x' AS DOUBLE)", "Could not convert"),
        ("error('ouch')", "ouch"),
        ("'a' || 'b'", "Could not convert"),
    ],
)
def test_the_failing_expression_is_named_among_good_ones(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        evaluate(tmp_path, table(close=[1.0, 2.0]), good="close", bad=text, fine="close * 2")
    assert str(error.value).startswith("ingest.features: bad: the SQL expression fails")
    assert words in str(error.value)


def test_a_failing_helper_is_named_and_not_the_feature_that_uses_it(tmp_path: Path) -> None:
    with SqlEngine(64 * MIB, tmp_path) as engine, pytest.raises(ConfigError, match=r"ingest\.features: helper"):
        engine.evaluate(table(x=[1.0]), {"y": "helper"}, derived={"helper": "nothing"}, where="ingest.features")


def test_the_engine_works_on_after_a_failure(tmp_path: Path) -> None:
    with SqlEngine(64 * MIB, tmp_path) as engine:
        with pytest.raises(ConfigError):
            engine.evaluate(table(x=[1.0]), {"bad": "y"}, where="w")
        assert engine.evaluate(table(x=[1.0]), {"good": "x"}, where="w").tolist() == [[1.0]]


def test_a_bucket_beyond_the_limit_is_a_budget_error_and_not_a_crash(tmp_path: Path) -> None:
    rows = table(x=[float(i) for i in range(200_000)])
    with SqlEngine(1 * MIB, tmp_path / "no such folder") as engine, pytest.raises(BudgetError, match="do not fit"):
        engine.evaluate(rows, {"y": "quantile_cont(x, 0.5) OVER (ORDER BY x DESC)"}, where="ingest.features")


def test_the_limit_leaves_room_for_what_the_engine_takes_beside_it() -> None:
    assert limit_for_share(200 * MIB) == int((200 - 64) * MIB / 1.1)
    assert limit_for_share(10 * MIB) == MINIMUM_LIMIT_BYTES
