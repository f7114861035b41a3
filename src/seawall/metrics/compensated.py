"""Sums that keep what rounding drops: a pair of floats (high, low) stands for the exact sum of the two.

A plain running sum loses a little at every step, so its error grows with the number of chunks; these do not.
Source: D. E. Knuth, The Art of Computer Programming 2, section 4.2.2 (the error of a sum is itself a float).
"""

from typing import TypeAlias

Pair: TypeAlias = tuple[float, float]

ZERO: Pair = (0.0, 0.0)


def two_sum(first: float, second: float) -> Pair:
    """Add two floats: the rounded sum, and exactly what the rounding dropped.

    >>> two_sum(1e16, 1.0)
    (1e+16, 1.0)
    """
    total = first + second
    shadow = total - first
    return total, (first - (total - shadow)) + (second - shadow)


def add(pair: Pair, *values: float) -> Pair:
    """Add floats to a pair.

    >>> add((1e16, 0.0), 1.0, 1.0, -1e16)
    (2.0, 0.0)
    """
    high, low = pair
    for value in values:
        high, dropped = two_sum(high, value)
        high, low = two_sum(high, low + dropped)
    return high, low


def difference(first: Pair, second: Pair) -> float:
    """Subtract two pairs; exact to rounding of the difference even where the high parts agree in all but a few bits."""
    return (first[0] - second[0]) + (first[1] - second[1])
