"""The table is read date by date, and refused where it is damaged, unsorted or of another panel."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seawall.backtest.predictions import PredictionTable
from seawall.errors import DataError, FormatError
from seawall.stores.panel import Panel
from tests.backtest.world import random_world


def read(path: Path, panel: Panel) -> list[int]:
    table = PredictionTable(path, panel)
    table.span()
    return [date.date for date in table.dates()]


@pytest.mark.parametrize("group_rows", [1, 5, 64, 10_000])
def test_a_date_is_whole_wherever_row_groups_are_cut(tmp_path: Path, group_rows: int) -> None:
    world = random_world(1)
    panel_path, path = world.write(tmp_path)
    panel = Panel(panel_path)
    pq.write_table(world.table(panel), path, row_group_size=group_rows)
    table = PredictionTable(path, panel)

    dates = list(table.dates())

    assert table.span() == range(80)
    assert table.num_rows == world.present.sum()
    for date in dates:
        at = np.flatnonzero(world.present[date.date])
        np.testing.assert_array_equal(panel.entity_of(date.rows), at)
        np.testing.assert_array_equal(date.predictions, world.predictions[date.date, at].astype(np.float32))


def set_column(name: str, values: pa.Array) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(name), name, values(table))


def swapped_rows(table: pa.Table) -> pa.Table:
    return table.take([1, 0, *range(2, len(table))])


def doubled_row(table: pa.Table) -> pa.Table:
    return table.take([0, *range(len(table))])


def dates_backwards(table: pa.Table) -> pa.Table:
    return table.take([*range(30, 60), *range(30), *range(60, len(table))])


def nulls(name: str) -> Callable[[pa.Table], pa.Table]:
    return set_column(name, lambda table: pa.array([None, *table[name].to_pylist()[1:]], table[name].type))


def other_times(table: pa.Table) -> pa.Table:
    times = pa.compute.add(table["time"].cast(pa.int64()), 1).cast(table["time"].type)
    return table.set_column(1, "time", times)


def shifted_rows(table: pa.Table) -> pa.Table:
    return table.set_column(0, "row", pa.compute.add(table["row"], 1))


@pytest.mark.parametrize(
    ("damage", "kind", "message"),
    [
        (swapped_rows, DataError, "entities are out of order or come twice at calendar index 0"),
        (doubled_row, DataError, "entities are out of order or come twice at calendar index 0"),
        (dates_backwards, DataError, "times go backwards"),
        (other_times, DataError, "a time is not in the panel's calendar"),
        (shifted_rows, DataError, "rows do not belong to their date in this panel"),
        (nulls("row"), FormatError, "column 'row' may not be empty, found 1 nulls"),
        (nulls("time"), FormatError, "column 'time' may not be empty, found 1 nulls"),
        (lambda table: table.drop(["prediction"]), FormatError, "column 'prediction' is missing, found row, time"),
        (
            set_column("prediction", lambda table: pa.array(["x"] * len(table))),
            FormatError,
            "column 'prediction' has the wrong type, found string, allowed: float32",
        ),
        (
            set_column("time", lambda table: table["time"].cast(pa.int64())),
            FormatError,
            "column 'time' has the wrong type, found int64",
        ),
    ],
)
def test_a_table_that_is_not_right_is_refused(
    tmp_path: Path, damage: Callable[[pa.Table], pa.Table], kind: type[Exception], message: str
) -> None:
    world = random_world(2)
    panel_path, path = world.write(tmp_path)
    panel = Panel(panel_path)
    pq.write_table(damage(world.table(panel)), path, row_group_size=16)

    with pytest.raises(kind, match=message):
        read(path, panel)


@pytest.mark.parametrize("content", [b"", b"PAR1 not really", None])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes | None) -> None:
    panel_path, path = random_world(3).write(tmp_path)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)

    with pytest.raises(FormatError, match="cannot be read as a backtest table"):
        read(path, Panel(panel_path))


def test_a_damaged_page_is_refused(tmp_path: Path) -> None:
    panel_path, path = random_world(4).write(tmp_path)
    content = bytearray(path.read_bytes())
    content[40:2000] = b"\xff" * 1960
    path.write_bytes(content)

    with pytest.raises(FormatError, match="cannot be read as a backtest table"):
        read(path, Panel(panel_path))


def test_missing_predictions_are_nan(tmp_path: Path) -> None:
    world = random_world(5, num_dates=3)
    panel_path, path = world.write(tmp_path)
    panel = Panel(panel_path)
    pq.write_table(nulls("prediction")(world.table(panel)), path)

    first = next(iter(PredictionTable(path, panel).dates()))

    assert np.isnan(first.predictions[0])
