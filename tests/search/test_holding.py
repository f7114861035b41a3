"""Holding the same entities: equal to a plain count, and blind to bars outside its span."""

from dataclasses import replace

import numpy as np
import pytest

from seawall.search.holding import hold, wealth
from tests.search.worlds import random_bars

BARS = random_bars(4, num_bars=300, missing=0.1)
EVERY = np.arange(3)


def test_holding_equals_a_count_by_hand() -> None:
    totals, per_bar = [], []
    for entity in range(3):
        own = slice(int(BARS.offsets[entity]), int(BARS.offsets[entity + 1]))
        inside = (BARS.time[own] >= 40) & (BARS.time[own] + 1 <= 200)
        totals.append(BARS.close[own][inside][-1] / BARS.open[own][inside][0] - 1)
        per_bar.append(totals[-1] / inside.sum())
    held = hold(BARS, EVERY, 40, 200)

    assert held.total_return == pytest.approx(np.mean(totals), rel=1e-12)
    assert held.return_per_bar == pytest.approx(np.mean(per_bar), rel=1e-12)
    assert held.record(9.0)["return_per_mean_trade"] == pytest.approx(10 * np.mean(per_bar), rel=1e-12)


def test_wealth_begins_with_one_and_ends_with_what_holding_made() -> None:
    times = np.linspace(40, 200, 33).astype(np.int64)
    found = wealth(BARS, EVERY, times)

    assert found[0] == 1.0
    assert found[-1] == pytest.approx(1 + hold(BARS, EVERY, 40, 200).total_return, rel=1e-12)


def test_later_bars_change_no_earlier_wealth() -> None:
    times = np.linspace(40, 200, 33).astype(np.int64)
    changed = replace(BARS, close=np.where(BARS.time >= 120, 2.0, 1.0) * BARS.close)
    before, after = wealth(BARS, EVERY, times), wealth(changed, EVERY, times)

    assert np.array_equal(before[times <= 120], after[times <= 120])
    assert after[-1] > before[-1]


def test_an_entity_without_bars_in_the_span_is_money_kept() -> None:
    assert hold(BARS, EVERY, 10_000, 20_000).total_return == 0.0
    assert wealth(BARS, EVERY, np.array([10_000, 20_000])).tolist() == [1.0, 1.0]
