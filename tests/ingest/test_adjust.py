import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.ingest.adjust import Bars, cumulate, detect_breaks


def bars(close: list[float], **others: list[float]) -> Bars:
    """Bars of one entity; open, high and low equal close where they are not given."""
    columns = {name: np.array(others.get(name, close), float) for name in ("open", "high", "low")}
    first = np.zeros(len(close), bool)
    first[0] = True
    return Bars(close=np.array(close, float), first=first, **columns)


def factors(rows: Bars) -> list[float]:
    return [float(factor) for factor in detect_breaks(rows, 2.0)]


def test_a_tenfold_scale_is_a_break_by_the_overnight_ratio() -> None:
    rows = bars([10, 101, 102], open=[10, 100, 101], high=[11, 103, 104], low=[9, 99, 100])
    assert factors(rows) == [1.0, 10.0, 1.0]


def test_a_hundredth_is_a_break_downwards() -> None:
    assert factors(bars([100, 1, 1])) == [1.0, 0.01, 1.0]


@pytest.mark.parametrize("move", [0.5, 0.6, 0.99, 1.0, 1.01, 1.6, 2.0])
def test_a_move_within_the_ratio_survives(move: float) -> None:
    assert factors(bars([10, 10 * move, 10 * move])) == [1.0] * 3


def test_a_bar_that_reaches_back_into_the_possible_is_no_break() -> None:
    assert factors(bars([10, 25], open=[10, 19], high=[10, 26], low=[10, 19])) == [1.0, 1.0]


def test_the_first_row_of_an_entity_is_never_a_break() -> None:
    rows = Bars(*(np.array([1.0, 100.0, 101.0]),) * 4, first=np.array([True, True, False]))
    assert factors(rows) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, np.inf, -np.inf])
def test_missing_and_impossible_prices_make_no_break(bad: float) -> None:
    assert factors(bars([bad, 10, 10])) == [1.0] * 3
    assert factors(bars([10, bad, 10])) == [1.0] * 3
    assert factors(bars([10, 100, 100], open=[10, bad, 100])) == [1.0] * 3


@given(st.lists(st.floats(0.01, 1e6), min_size=2, max_size=12), st.integers(0, 10))
def test_a_break_depends_on_its_row_and_the_row_before_alone(close: list[float], cut: int) -> None:
    cut = min(cut, len(close) - 1)
    other = [*close[: cut + 1], *(price * 1234.5 for price in close[cut + 1 :])]
    assert factors(bars(close))[: cut + 1] == factors(bars(other))[: cut + 1]


@given(st.lists(st.lists(st.sampled_from([1.0, 1.0, 10.0, 0.5, 3.0]), min_size=1, max_size=6), min_size=1, max_size=5))
def test_the_adjustment_is_the_running_product_within_each_entity(steps: list[list[float]]) -> None:
    starts = np.concatenate([[0], np.cumsum([len(step) for step in steps])])
    found = cumulate(np.concatenate([np.array(step) for step in steps]), starts)
    expected = pd.concat([pd.Series(step).cumprod() for step in steps])
    np.testing.assert_allclose(found, expected, rtol=1e-14)
