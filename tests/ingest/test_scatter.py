import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from seawall.ingest.disorder import Disorder
from seawall.ingest.record import record_layout
from seawall.ingest.rules import RowRules
from seawall.ingest.scatter import Scatter, ScatterConfig, split_points
from seawall.tables.engine import SqlEngine
from seawall.tables.read import RawBlock
from seawall.tables.times import TimeFormat
from seawall.units import MIB
from tests.ingest.world import settings


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 50), min_size=1), st.integers(1, 8))
def test_split_points_are_names_in_byte_order_and_never_too_many(entities: dict[str, int], num_buckets: int) -> None:
    points = split_points(Counter(entities), num_buckets)
    assert points == sorted(set(points))
    assert set(points) <= {name.encode() for name in entities}
    assert len(points) <= num_buckets - 1


def test_split_points_cut_even_entities_evenly() -> None:
    entities = Counter({f"E{number:03d}": 10 for number in range(100)})
    assert split_points(entities, 4) == [b"E025", b"E050", b"E075"]


rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=30)


@given(st.lists(rows, max_size=5))
def test_rows_out_of_order_are_those_before_the_last_one_of_their_entity(blocks: list[list[tuple[int, int]]]) -> None:
    disorder, last, expected = Disorder(), dict[int, int](), 0
    for block in blocks:
        disorder.see(np.array([code for code, _ in block], np.int64), np.array([time for _, time in block], np.int64))
        for code, time in block:
            expected += time < last.get(code, time)
            last[code] = time
    assert disorder.num_rows == expected
    assert {code: time for code, time in enumerate(disorder.last_times.tolist()) if time >= 0} == last


def test_rows_of_more_entities_than_sixteen_bits_are_counted_too() -> None:
    disorder = Disorder()
    codes = np.arange(70_000)
    disorder.see(np.append(codes, codes[::-1]), np.append(codes + 5, codes[::-1]))
    assert disorder.num_rows == 70_000


def test_memory_does_not_grow_with_the_number_of_blocks(tmp_path: Path) -> None:
    config = settings(tmp_path / "m.csv")
    num_rows, width = 2_000, len(config.value_columns)
    entity = pa.array([f"E{number:04d}" for number in range(num_rows)]).dictionary_encode()
    limits = ScatterConfig(staging_bytes=MIB, max_bad_rows=0)
    with (
        SqlEngine(100 * MIB, tmp_path) as engine,
        Scatter(tmp_path, [], record_layout(config), config.value_columns, limits) as scatter,
    ):
        rules = RowRules(config, engine)

        def add(first: int, stop: int) -> None:
            for number in range(first, stop):
                day = str(np.datetime64("1990-01-01") + number)
                time = pa.array([day] * num_rows).dictionary_encode()
                block = RawBlock(entity, time, np.zeros((num_rows, width)), np.arange(num_rows))
                scatter.add(block, TimeFormat("iso"), "m.csv", rules)

        add(0, 100)
        tracemalloc.start()
        add(100, 200)
        early = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        add(200, 700)
        late = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert scatter.tally.rows_kept == 700 * num_rows
    assert late < early + MIB // 2
