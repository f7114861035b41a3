"""How far back expressions read: counted from the parse, and held against what taking rows away does."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Float64
from seawall.ingest.bucket import WINDOW
from seawall.tables.engine import SqlEngine, limit_for_share
from seawall.tables.reach import rows_back
from seawall.units import MIB

BOUNDED = {
    "x": 0,
    "ln(x) + y": 0,
    "lag(x) OVER entity": 1,
    "lag(x, 5) OVER entity": 5,
    "lag(lag5) OVER entity": 6,
    "x / lag(x, 3, 0.0) OVER entity - 1": 3,
    "avg(x) OVER (entity ROWS 19 PRECEDING)": 19,
    "avg(x) OVER (entity ROWS BETWEEN 30 PRECEDING AND 5 PRECEDING)": 30,
    "sum(x) FILTER (y > 0) OVER (entity ROWS 4 PRECEDING)": 4,
    "first_value(x) OVER (entity ROWS 7 PRECEDING)": 7,
    "max(lag5) OVER (entity ROWS 2 PRECEDING) + lag(x, 4) OVER entity": 7,
    'stddev_samp("Deep") OVER (entity ROWS 9 PRECEDING)': 16,
    "CASE WHEN count(*) OVER (entity ROWS 9 PRECEDING) = 10 THEN 1 END": 9,
    "sum(x) OVER (PARTITION BY __entity ORDER BY __time ROWS 3 PRECEDING)": 3,
}
UNBOUNDED = [
    "sum(x) OVER entity",
    "row_number() OVER entity",
    "max(x) OVER (entity ROWS UNBOUNDED PRECEDING)",
    "max(x) OVER (entity ROWS 1 + 2 PRECEDING)",
    "max(date) OVER (entity RANGE BETWEEN INTERVAL 3 DAYS PRECEDING AND CURRENT ROW)",
    "lag(x, n) OVER entity",
    "lag(x IGNORE NULLS) OVER entity",
    "(SELECT max(x) FROM rows)",
    "avg(x) OVER (PARTITION BY __time)",
    "itself + 1",
    "running",
    "this does not parse (",
]
DERIVED = {
    "lag5": "lag(x, 5) OVER entity",
    "deep": "avg(LAG5) OVER (entity ROWS 2 PRECEDING)",
    "running": "sum(x) OVER entity",
    "itself": "itself",
}


@pytest.mark.parametrize("text", BOUNDED)
def test_bounded_frames_and_shifts_are_counted(text: str) -> None:
    assert rows_back({"f": text}, DERIVED, WINDOW) == {"f": BOUNDED[text]}


@pytest.mark.parametrize("text", UNBOUNDED)
def test_everything_else_has_no_bound(text: str) -> None:
    assert rows_back({"f": text, "g": "x"}, DERIVED, WINDOW) == {"f": None, "g": 0}


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([text for text in BOUNDED if "Deep" not in text]), st.integers(40, 60))
def test_rows_before_the_reach_do_not_move_a_value(text: str, num_rows: int) -> None:
    rng = np.random.default_rng(num_rows)
    x = rng.integers(1, 100, num_rows).astype(float)  # sums of integers are exact, whatever their order
    reach = rows_back({"f": text}, DERIVED, WINDOW)["f"]
    assert reach is not None
    with tempfile.TemporaryDirectory() as folder, SqlEngine(limit_for_share(128 * MIB), Path(folder)) as engine:
        whole, tail = (
            engine.evaluate(_table(x[first:]), {"f": text}, derived={"lag5": DERIVED["lag5"]}, window=WINDOW, where="f")
            for first in (0, num_rows - 1 - reach)
        )
    np.testing.assert_array_equal(tail[-1], whole[-1])


def _table(x: Float64) -> pa.Table:
    n = np.arange(len(x))
    return pa.table({"__id": n, "__entity": np.zeros(len(x), np.int32), "__time": n, "x": x, "y": x - 50})
