"""Compensated sums, judged by exact fractions."""

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from seawall.metrics.compensated import ZERO, add, difference, two_sum

numbers = st.floats(min_value=-1e100, max_value=1e100, allow_subnormal=False)


@given(numbers, numbers)
def test_a_sum_and_what_rounding_dropped_are_together_exact(first: float, second: float) -> None:
    total, dropped = two_sum(first, second)

    assert total == first + second
    assert Fraction(total) + Fraction(dropped) == Fraction(first) + Fraction(second)


@given(st.lists(st.floats(min_value=-1e12, max_value=1e12, allow_subnormal=False), max_size=200))
def test_a_running_pair_stays_with_the_exact_sum(values: list[float]) -> None:
    pair = add(ZERO, *values)

    assert math.isclose(sum(pair), math.fsum(values), rel_tol=1e-15, abs_tol=1e-28 * math.fsum(map(abs, values)))


def test_pairs_that_agree_in_their_high_part_still_differ() -> None:
    assert difference((1e16, 0.75), (1e16, 0.25)) == 0.5
