import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.arrays import AnyArray, Int64
from seawall.ingest import split
from seawall.ingest.scatter import record_dtype
from seawall.ingest.spill import Spill
from seawall.ingest.split import BucketSize, LongEntity, even_buckets

DTYPE = record_dtype(1, 1)


def rows_of(codes: list[int], first: int = 0) -> AnyArray:
    """Rows with their place as the time, so that every row can be told from every other."""
    rows: AnyArray = np.zeros(len(codes), DTYPE)
    rows["code"], rows["time"] = codes, first + np.arange(len(codes))
    return rows


@given(
    blocks=st.lists(st.lists(st.integers(0, 4), max_size=20), max_size=8),
    staged_rows=st.integers(1, 30),
    marked=st.integers(0, 8),
)
def test_parts_come_back_whole_in_order_and_a_roll_back_forgets_all_since_the_mark(
    blocks: list[list[int]], staged_rows: int, marked: int
) -> None:
    kept: list[list[int]] = [[] for _ in range(5)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Spill(Path(folder) / "x.rows", DTYPE, 5, staged_rows * DTYPE.itemsize) as spill,
    ):
        place = 0
        mark = spill.mark() if marked == 0 else None
        for number, block in enumerate(blocks):
            spill.add(rows_of(block, place), np.array(block, np.int64))
            if mark is None:
                for offset, code in enumerate(block):
                    kept[code].append(place + offset)
            place += len(block)
            if number + 1 == marked:
                mark = spill.mark()
        if mark is not None:
            spill.roll_back(mark)
        spill.add(rows_of([3], place), np.array([3]))
        kept[3].append(place)
        spill.release()
        for part in range(5):
            assert spill.read(part)["time"].tolist() == kept[part]
            slowly = [row for rows in spill.read_slowly(part, 3) for row in rows["time"].tolist()]
            assert slowly == kept[part]
            assert spill.num_rows(part) == len(kept[part])


def test_a_closed_spill_leaves_nothing_behind(tmp_path: Path) -> None:
    with Spill(tmp_path / "x.rows", DTYPE, 1, 1000) as spill:
        spill.add(rows_of([0, 0]), np.array([0, 0]))
    assert not list(tmp_path.iterdir())


@given(
    codes=st.lists(st.integers(0, 9), min_size=1, max_size=60),
    ranks=st.permutations(range(10)),
    max_rows=st.integers(1, 70),
    cut=st.integers(0, 9),
)
def test_buckets_hold_whole_entities_in_order_and_fit_unless_one_entity_alone_does_not(
    codes: list[int], ranks: list[int], max_rows: int, cut: int
) -> None:
    rank_of_code: Int64 = np.array(ranks)
    with tempfile.TemporaryDirectory() as folder, Spill(Path(folder) / "x.rows", DTYPE, 2, 700) as spill:
        spill.add(rows_of(codes), (rank_of_code[codes] >= cut).astype(np.int64))
        spill.release()
        found = even_buckets(spill, rank_of_code, BucketSize(max_rows, 700))
        buckets = [item.whole() if isinstance(item, LongEntity) else item for item in found]
    last = -1
    for bucket in buckets:
        held = {ranks[code] for code in bucket["code"]}
        assert held, "no bucket is empty"
        assert min(held) > last, "entities are whole and in order"
        last = max(held)
        assert len(bucket) <= max_rows or len(held) == 1
        for rank in held:
            of_one = bucket["time"][rank_of_code[bucket["code"]] == rank]
            assert (np.diff(of_one) > 0).all(), "rows keep their order"
    assert sorted(np.concatenate([bucket["time"] for bucket in buckets]).tolist()) == list(range(len(codes)))


def test_a_part_that_fits_is_not_set_aside_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "_split", None)
    with Spill(tmp_path / "x.rows", DTYPE, 1, 1000) as spill:
        spill.add(rows_of([0, 1, 0]), np.zeros(3, np.int64))
        spill.release()
        assert len(list(even_buckets(spill, np.array([1, 0]), BucketSize(3, 1000)))) == 1
