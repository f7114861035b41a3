"""A long table is cut into parts of 16 row groups; writer and reader hold the footer of one of them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seawall.stores.table_parts import GROUPS_PER_PART, PartsWriter, table_parts

SCHEMA = pa.schema([("number", pa.int64())])


def write(folder: Path, num_groups: int, *, rows_per_group: int = 3) -> None:
    with PartsWriter(folder, SCHEMA, []) as writer:
        for group in range(num_groups):
            numbers = range(group * rows_per_group, (group + 1) * rows_per_group)
            writer.write(pa.table({"number": list(numbers)}, schema=SCHEMA))


def write_and_fail(folder: Path) -> None:
    with PartsWriter(folder, SCHEMA, []) as writer:
        for _ in range(18):
            writer.write(pa.table({"number": [7]}, schema=SCHEMA))
        pa.array(["x"]).cast(pa.int64())


@pytest.mark.parametrize("num_groups", [0, 1, 16, 17, 40])
def test_parts_in_order_are_the_table(tmp_path: Path, num_groups: int) -> None:
    write(tmp_path, num_groups)

    parts = table_parts(tmp_path)
    assert [part.name for part in parts] == [f"table_{n:04d}.parquet" for n in range(max(1, -(-num_groups // 16)))]
    assert all(pq.read_metadata(part).num_row_groups <= GROUPS_PER_PART for part in parts)
    assert pq.read_table(parts)["number"].to_pylist() == list(range(3 * num_groups))


def test_a_shorter_table_leaves_no_part_of_the_longer_one(tmp_path: Path) -> None:
    write(tmp_path, 40)
    write(tmp_path, 2)

    assert [path.name for path in tmp_path.iterdir()] == ["table_0000.parquet"]


def test_after_a_failure_the_earlier_table_stays_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, 20)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    with pytest.raises(pa.ArrowException):
        write_and_fail(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_parts_above_nine_thousand_stay_in_order(tmp_path: Path) -> None:
    for number in (2, 10_000, 9_999):
        (tmp_path / f"table_{number:04d}.parquet").touch()
    (tmp_path / "ledger.parquet").touch()

    assert [part.stem for part in table_parts(tmp_path)] == ["table_0002", "table_9999", "table_10000"]
