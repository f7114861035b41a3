"""Prices date by date equal the wide frames they were written from, whatever the slab."""

from pathlib import Path

import numpy as np
import pytest

from seawall.backtest.prices import PriceColumns, PriceReader
from seawall.stores.panel import Panel
from tests.backtest.world import random_world
from tests.support import make_panel


@pytest.mark.parametrize("slab_rows", [1, 30, 10_000])
def test_every_date_gives_its_own_rows_in_the_order_of_entities(tmp_path: Path, slab_rows: int) -> None:
    world = random_world(1)
    panel = Panel(world.write(tmp_path)[0])
    reader = PriceReader(panel, PriceColumns("open", "close"), slab_rows=slab_rows)

    dates = list(reader.dates(range(3, 71)))

    assert [prices.date for prices in dates] == list(range(3, 71))
    for prices in dates:
        assert prices.rows.base is prices.fill.base is prices.mark.base is None, "a view keeps its slab in memory"
        at = np.flatnonzero(world.present[prices.date])
        opened, close, factor = (values[prices.date, at] for values in (world.open, world.close, world.adjustment))
        np.testing.assert_array_equal(panel.entity_of(prices.rows), at)
        np.testing.assert_array_equal(prices.fill, opened)
        np.testing.assert_array_equal(prices.adjustment, factor)
        trade = np.where(opened > 0, opened / factor, np.nan)
        np.testing.assert_array_equal(prices.trade, trade)
        np.testing.assert_array_equal(prices.mark, np.where(close > 0, close / factor, trade))


def test_a_price_that_is_not_a_finite_number_above_zero_is_no_price(tmp_path: Path) -> None:
    world = random_world(2, num_dates=2, num_entities=5, gaps=False)
    bad = np.tile([np.nan, np.inf, -np.inf, 0.0, -1.0], (2, 1))
    panel = Panel(world.but(open=bad, close=bad).write(tmp_path)[0])

    for prices in PriceReader(panel, PriceColumns("open", "close"), slab_rows=9).dates(range(2)):
        assert np.isnan(prices.trade).all()
        assert np.isnan(prices.mark).all()


def test_slabs_that_are_halved_on_the_way_give_the_same_rows(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    span = range(panel.shape.num_dates)
    whole = list(PriceReader(panel, PriceColumns("open", "close"), slab_rows=10_000).dates(span))
    reader = PriceReader(panel, PriceColumns("open", "close"), slab_rows=64)

    halved = []
    for number, prices in enumerate(reader.dates(span)):
        halved.append(prices)
        reader.shrink(number // 20)

    for one, other in zip(whole, halved, strict=True):
        assert one.date == other.date
        for name in ("rows", "fill", "adjustment", "trade", "mark"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
