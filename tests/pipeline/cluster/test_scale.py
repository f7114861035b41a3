"""The model of a larger cluster: rounds of units, one storage for all, and the largest term named."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.pipeline.cluster.scale import CONNECT_SECONDS, DEAL_SECONDS, Costs, Fleet, Job, forecast, line

COSTS = Costs(
    table_bytes=10**9, store_bytes=5 * 10**8, num_folds=15, num_models=1,
    unit_seconds={"train": 30.0, "predict": 5.0}, single_seconds={"ingest": 10.0, "folds": 1.0, "evaluate": 4.0},
    unit_read_bytes=2e8, unit_output_bytes=1e6, shuffle_bytes=2 * 10**9,
)  # fmt: skip
SAME = Job(table_bytes=10**9, num_folds=15)


def test_one_node_takes_what_was_measured_and_two_take_rounds_of_it() -> None:
    one, two = forecast([COSTS], SAME, Fleet(num_nodes=1)), forecast([COSTS], SAME, Fleet(num_nodes=2))
    assert one.seconds["train"] == pytest.approx(15 * (30 + DEAL_SECONDS))
    assert two.seconds["train"] == pytest.approx(8 * (30 + DEAL_SECONDS))
    assert one.seconds["ingest"] == two.seconds["ingest"] == 10.0
    assert one.seconds["connect"] == CONNECT_SECONDS
    assert (one.bottleneck, two.bottleneck) == ("train", "train")


def test_more_nodes_than_units_are_told_to_stand_idle() -> None:
    told = forecast([replace(COSTS, single_seconds={})], SAME, Fleet(num_nodes=100))
    assert told.num_busy == 15
    assert told.bottleneck == "train: units for 15 of 100 nodes"


def test_ten_terabytes_name_training_then_ingest_then_the_storage_as_the_bottleneck() -> None:
    large = Job(table_bytes=10**13, num_folds=1000)
    assert forecast([COSTS], large, Fleet(num_nodes=10)).bottleneck == "train"
    assert forecast([COSTS], large, Fleet(num_nodes=1000, storage_bps=1e12, is_copied=True)).bottleneck == "ingest"
    assert forecast([COSTS], large, Fleet(num_nodes=1000, is_copied=True)).bottleneck == "panel copies"


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 4))
def test_more_nodes_never_train_slower_and_never_faster_than_their_number(
    num_nodes: int, more: int, at_once: int
) -> None:
    few = forecast([COSTS], SAME, Fleet(num_nodes=num_nodes, units_at_once=at_once)).seconds["train"]
    many = forecast([COSTS], SAME, Fleet(num_nodes=num_nodes + more, units_at_once=at_once)).seconds["train"]
    assert many <= few <= many * math.ceil((num_nodes + more) / num_nodes) * (1 + 1e-9)


def test_what_does_not_grow_is_told_apart_by_a_second_size() -> None:
    small = replace(COSTS, table_bytes=10**7, single_seconds={"ingest": 2.0 + 0.08, "report": 3.0})
    large = replace(COSTS, table_bytes=10**9, single_seconds={"ingest": 2.0 + 8.0, "report": 3.0})
    told = forecast([small, large], Job(table_bytes=10**12, num_folds=15), Fleet(num_nodes=1)).seconds
    assert told["ingest"] == pytest.approx(2.0 + 8000.0)
    assert told["report"] == 3.0
    there = forecast(
        [small, large], Job(table_bytes=10**12, num_folds=15, is_ingested=True), Fleet(num_nodes=1)
    ).seconds
    assert "ingest" not in there


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 1e6)), min_size=1, max_size=5), st.floats(0, 1e9))
def test_a_line_never_goes_below_zero_nor_falls(points: list[tuple[float, float]], size: float) -> None:
    assert 0 <= line(points, size) <= line(points, 2 * size) + 1e-9 * abs(line(points, size)) + 1e-9
