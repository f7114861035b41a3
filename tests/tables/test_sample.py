import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seawall.errors import DataError
from seawall.tables.sample import MAX_FILES, PIECE_BYTES, take_sample


def lines(first: int, stop: int) -> str:
    return "".join(f"E{i:06d},2024-01-{1 + i % 28:02d},{i}\n" for i in range(first, stop))


def write(path: Path, text: str) -> Path:
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_a_small_file_is_seen_whole(tmp_path: Path) -> None:
    sample = take_sample([write(tmp_path / "x.csv", "code,day,x\n" + lines(0, 100))], "code", "day")
    assert sample.num_rows == 100
    assert len(sample.entities) == 100
    assert list(sample.time_texts)[:2] == ["2024-01-01", "2024-01-02"]
    assert 100 <= sample.estimated_rows <= 106


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_the_rows_of_a_large_file_are_estimated_within_a_tenth(tmp_path: Path, name: str) -> None:
    num_rows = 200_000
    sample = take_sample([write(tmp_path / name, "code,day,x\n" + lines(0, num_rows))], "code", "day")
    assert sample.num_rows < num_rows / 2
    assert abs(sample.estimated_rows / num_rows - 1) < (0.1 if name == "x.csv" else 0.35)


def test_head_middle_and_tail_of_a_large_file_are_seen(tmp_path: Path) -> None:
    num_rows = 8 * PIECE_BYTES // 25
    sample = take_sample([write(tmp_path / "x.csv", "code,day,x\n" + lines(0, num_rows))], "code", "day")
    numbers = sorted(int(name[1:]) for name in sample.entities)
    assert numbers[0] == 0
    assert numbers[-1] == num_rows - 1
    assert any(num_rows * 0.45 < number < num_rows * 0.6 for number in numbers)


def test_rows_of_parquet_are_counted_and_not_guessed(tmp_path: Path) -> None:
    table = pa.table({"code": [f"E{i % 5}" for i in range(50_000)], "day": list(range(50_000))})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=10_000)
    sample = take_sample([tmp_path / "x.parquet"], "code", "day")
    assert sample.estimated_rows == 50_000
    assert set(sample.entities) == {f"E{i}" for i in range(5)}
    assert not sample.time_texts


def test_only_some_of_many_files_are_opened_and_all_are_counted(tmp_path: Path) -> None:
    num_files = 4 * MAX_FILES
    files = [write(tmp_path / f"{i:03d}.csv", "code,day,x\n" + lines(0, 50)) for i in range(num_files)]
    sample = take_sample(files, "code", "day")
    assert sample.num_rows <= 50 * (MAX_FILES + 1)
    assert abs(sample.estimated_rows / (50 * num_files) - 1) < 0.1


def test_bad_rows_do_not_stop_the_look(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "code,day,x\nA,2024-01-01\n" + lines(0, 10) + ",,\n")
    sample = take_sample([path], "code", "day")
    assert len(sample.entities) == 10


def test_no_rows_at_all_are_refused(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"code": pa.array([], pa.string()), "day": pa.array([], pa.int64())}), tmp_path / "x.parquet"
    )
    for path in (write(tmp_path / "x.csv", "code,day,x\n"), tmp_path / "x.parquet"):
        with pytest.raises(DataError, match="no rows, found a header only"):
            take_sample([path], "code", "day")


def test_a_header_without_rows_is_fine_beside_a_file_with_rows(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.csv", "code,day,x\n"), write(tmp_path / "b.csv", "code,day,x\n" + lines(0, 3))]
    assert take_sample(files, "code", "day").num_rows == 3


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_damaged_gzip_is_refused(tmp_path: Path, place: float) -> None:
    path = write(tmp_path / "x.csv.gz", "code,day,x\n" + lines(0, 20_000))
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match="source "):
        take_sample([path], "code", "day")


def test_a_cut_gzip_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv.gz", "code,day,x\n" + lines(0, 20_000))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match="cannot be read to its end, found Truncated"):
        take_sample([path], "code", "day")
