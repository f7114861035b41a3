from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from seawall.ingest.scatter import split_points


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 50), min_size=1), st.integers(1, 8))
def test_split_points_are_names_in_byte_order_and_never_too_many(entities: dict[str, int], num_buckets: int) -> None:
    points = split_points(Counter(entities), num_buckets)
    assert points == sorted(set(points))
    assert set(points) <= {name.encode() for name in entities}
    assert len(points) <= num_buckets - 1


def test_split_points_cut_even_entities_evenly() -> None:
    entities = Counter({f"E{number:03d}": 10 for number in range(100)})
    assert split_points(entities, 4) == [b"E025", b"E050", b"E075"]
