"""The one-pass sketch keeps the error and the bytes it states; the conformance suite merges and cuts it."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Float64
from seawall.metrics import ApproximateQuantiles

PROBABILITIES = (0.001, 0.01, 0.25, 0.5, 0.9, 0.999)


def rank_gap(quantiles: ApproximateQuantiles, values: Float64) -> float:
    """Give how far the worst quantile's rank is off, as a share of all values."""
    ordered = np.sort(values)
    found, wanted = quantiles.result(), np.array(PROBABILITIES) * len(values)
    below, up_to = (np.searchsorted(ordered, found, side=side) for side in ("left", "right"))
    return float(np.maximum(below - wanted, wanted - up_to).max()) / len(values)


@pytest.mark.parametrize("order", ["random", "rising", "falling", "few values"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_million_values_in_any_order_keep_the_stated_error_and_bytes(order: str, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(1_000_000)
    values = {"random": values, "rising": np.sort(values), "falling": -np.sort(values), "few values": values.round(1)}[
        order
    ]
    quantiles = ApproximateQuantiles(PROBABILITIES, seed=seed)
    quantiles.update(values)
    assert rank_gap(quantiles, values) <= quantiles.rank_error(1 - 1e-6)
    assert quantiles.rank_error() < 4 * math.sqrt(math.log(2 / 0.01)) / 2048 < 0.0045
    assert quantiles.held_bytes <= 115 * 1024
    assert quantiles.num_values == 1_000_000


def test_the_bound_at_95_percent_holds_for_more_than_95_percent_of_seeds() -> None:
    values = np.random.default_rng(0).standard_normal(60_000)
    ordered = np.sort(values)
    within = 0
    for seed in range(200):
        quantiles = ApproximateQuantiles([0.5], capacity=32, seed=seed)
        quantiles.update(values)
        gap = abs(int(np.searchsorted(ordered, quantiles.result()[0], side="right")) / len(values) - 0.5)
        within += gap <= quantiles.rank_error(0.95)
    assert within >= 190


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 30_000), max_size=8), seed=st.integers(0, 2**32))
def test_how_the_values_are_cut_into_chunks_changes_no_bit(cuts: list[int], seed: int) -> None:
    values = np.random.default_rng(5).standard_normal(30_000)
    whole, pieces = (ApproximateQuantiles(PROBABILITIES, capacity=64, seed=seed) for _ in range(2))
    whole.update(values)
    for part in np.split(values, sorted(cuts)):
        pieces.update(part)
        pieces = ApproximateQuantiles.from_state(json.loads(json.dumps(pieces.state())))
    assert pieces.state() == whole.state()


@pytest.mark.parametrize("num_parts", [2, 37, 400])
def test_merged_parts_keep_the_bound_of_their_sum(num_parts: int) -> None:
    values = np.random.default_rng(1).standard_normal(400_000)
    whole = ApproximateQuantiles(PROBABILITIES, capacity=256)
    for part in np.array_split(values, num_parts):
        other = ApproximateQuantiles(PROBABILITIES, capacity=256)
        other.update(part)
        whole.merge(other)
    assert whole.num_values == len(values)
    assert rank_gap(whole, values) <= whole.rank_error(1 - 1e-6)
    assert whole.rank_error() < 4 * math.sqrt(math.log(2 / 0.01)) / 256


def test_few_values_are_exact_and_odd_ones_order_or_are_counted() -> None:
    quantiles = ApproximateQuantiles([0.0, 0.5, 1.0])
    assert np.isnan(quantiles.result()).all()
    quantiles.update([math.inf, 3.0, math.nan, -math.inf, 1.0, 2.0])
    assert quantiles.result().tolist() == [-math.inf, 2.0, math.inf]
    assert (quantiles.num_values, quantiles.num_left_out, quantiles.rank_error()) == (5, 1, 0.0)


def test_what_cannot_be_merged_or_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="same quantiles and capacity"):
        ApproximateQuantiles([0.5]).merge(ApproximateQuantiles([0.5], capacity=64))
    with pytest.raises(ValueError, match="from 0 to 1"):
        ApproximateQuantiles([-0.1])
    with pytest.raises(ValueError, match="at least 8"):
        ApproximateQuantiles([0.5], capacity=4)
