"""The computed shuffle is a permutation, and looks like one."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.windows.order import order_key, permute


@pytest.mark.parametrize("n", [*range(1, 130), 1000, 4096, 4097])
def test_every_position_occurs_exactly_once(n: int) -> None:
    for epoch in range(3):
        shuffled = permute(n, order_key(7, epoch), np.arange(n))
        assert sorted(shuffled.tolist()) == list(range(n))


@given(n=st.integers(1, 2**40), seed=st.integers(0, 2**63), data=st.data())
def test_a_position_maps_alike_alone_and_among_others(n: int, seed: int, data: st.DataObject) -> None:
    positions = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=50)))
    key = order_key(seed, 3)

    together = permute(n, key, positions)

    assert ((together >= 0) & (together < n)).all()
    assert together.tolist() == [int(permute(n, key, positions[i : i + 1])[0]) for i in range(len(positions))]


def test_all_orders_of_four_things_come_about_equally_often() -> None:
    orders = Counter(tuple(permute(4, order_key(seed, 0), np.arange(4)).tolist()) for seed in range(4800))

    assert len(orders) == 24
    # 200 expected of each; 5 standard deviations of a binomial count.
    assert all(abs(count - 200) < 70 for count in orders.values())


def test_neighbours_and_epochs_are_uncorrelated() -> None:
    n = 50_000
    first, second = (permute(n, order_key(0, epoch), np.arange(n)) for epoch in (0, 1))

    for a, b in ((first, np.arange(n)), (first[:-1], first[1:]), (first, second)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(n)


def test_the_positions_given_are_not_changed() -> None:
    positions = np.arange(100)

    permute(100, order_key(0, 0), positions)

    assert positions.tolist() == list(range(100))
