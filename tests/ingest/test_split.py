import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.arrays import AnyArray
from seawall.ingest import split
from seawall.ingest.scatter import record_dtype, split_points
from seawall.ingest.split import even_buckets

DTYPE = record_dtype(1)


def bucket(path: Path, codes: list[int]) -> Path:
    records: AnyArray = np.zeros(len(codes), DTYPE)
    records["code"], records["source"] = codes, np.arange(len(codes))
    path.write_bytes(records.tobytes())
    return path


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.permutations(range(10)),
    st.integers(1, 70),
    st.sampled_from([2, 3, 256]),
)
def test_parts_hold_whole_entities_in_order_and_fit_unless_one_entity_alone_does_not(
    codes: list[int], ranks: list[int], rows_per_bucket: int, max_parts: int
) -> None:
    bucket_bytes = rows_per_bucket * DTYPE.itemsize
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "MAX_PARTS", max_parts)
        path = bucket(Path(folder) / "bucket-00000.rows", codes)
        parts = even_buckets([path], np.array(ranks), bucket_bytes, DTYPE)
        records = [np.fromfile(part, DTYPE) for part in parts]
        assert len(set(parts)) == len(parts)
        assert {entry.name for entry in Path(folder).iterdir()} == {part.name for part in parts}
    last = -1
    for part in records:
        held = {ranks[code] for code in part["code"]}
        assert held, "no part is empty"
        assert min(held) > last, "entities are whole and in order"
        last = max(held)
        assert len(part) <= rows_per_bucket or len(held) == 1
        assert (np.diff(part["source"]) > 0).all(), "rows keep their order"
    assert sorted(np.concatenate([part["source"] for part in records])) == list(range(len(codes)))


def test_a_bucket_that_fits_is_left_alone(tmp_path: Path) -> None:
    path = bucket(tmp_path / "bucket-00000.rows", [0, 1, 0])
    assert even_buckets([path], np.array([1, 0]), 3 * DTYPE.itemsize, DTYPE) == [path]


def test_an_entity_larger_than_a_bucket_stays_whole(tmp_path: Path) -> None:
    path = bucket(tmp_path / "bucket-00000.rows", [1] * 50 + [2, 0])
    parts = even_buckets([path], np.array([0, 1, 2]), 10 * DTYPE.itemsize, DTYPE)
    assert [np.fromfile(part, DTYPE)["code"].tolist() for part in parts] == [[0], [1] * 50, [2]]


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 50), min_size=1), st.integers(1, 8))
def test_split_points_are_names_in_byte_order_and_never_too_many(entities: dict[str, int], num_buckets: int) -> None:
    points = split_points(Counter(entities), num_buckets)
    assert points == sorted(set(points))
    assert set(points) <= {name.encode() for name in entities}
    assert len(points) <= num_buckets - 1


def test_split_points_cut_even_entities_evenly() -> None:
    entities = Counter({f"E{number:03d}": 10 for number in range(100)})
    assert split_points(entities, 4) == [b"E025", b"E050", b"E075"]
