"""Windows of a panel of several segments are those of one segment with the same rows, in every order."""

import numpy as np
import pytest

from seawall.backtest.prices import PriceColumns, PriceReader
from seawall.ingest.append import append
from seawall.ingest.run import ingest
from seawall.join.gather import RowGather
from seawall.pipeline.loader import windows
from seawall.stores.panel import Panel
from seawall.windows.samples import date_major_rows, select_samples
from tests.ingest.world import BUDGET_BYTES, market, settings


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Panel, Panel]:
    """The market in five segments, with late rows and a late entity, and at once."""
    folder = tmp_path_factory.mktemp("pair")
    frame = market(num_entities=6, num_dates=70, seed=5)
    day = np.searchsorted(np.unique(frame["date"]), frame["date"])
    piece = np.searchsorted([50, 55, 56, 63], day, side="right")
    late = np.random.default_rng(0).random(len(frame)) < 0.03
    piece[late] = np.maximum(piece[late], 3)
    piece[(frame["symbol"] == "JUMP").to_numpy()] = 4
    for number in range(5):
        frame[piece == number].to_csv(folder / f"{number}.csv", index=False)
    ingest(settings(folder / "0.csv"), folder / "many.panel", budget_bytes=BUDGET_BYTES)
    for number in range(1, 5):
        append([str(folder / f"{number}.csv")], folder / "many.panel", budget_bytes=BUDGET_BYTES)
    ingest(settings(*(folder / f"{n}.csv" for n in range(5))), folder / "one.panel", budget_bytes=BUDGET_BYTES)
    return Panel(folder / "many.panel"), Panel(folder / "one.panel")


@pytest.mark.parametrize("order", ["shuffle", "sequential", "by_time", "blocks"])
def test_every_order_gives_the_same_windows(pair: tuple[Panel, Panel], order: str) -> None:
    many, one = (windows(panel, lookback=9, batch=32, order=order) for panel in pair)
    assert len(pair[0].segments) == 5
    num_batches = 0
    for left, right in zip(many, one, strict=True):
        np.testing.assert_array_equal(left["row"], right["row"])
        np.testing.assert_allclose(left["x"], right["x"], rtol=1e-6, equal_nan=True)
        np.testing.assert_array_equal(left["y"], right["y"])
        num_batches += 1
    assert num_batches > 1


def test_samples_prices_and_returns_are_the_same(pair: tuple[Panel, Panel]) -> None:
    found = []
    for panel in pair:
        span = (20, 60)
        known = select_samples(panel, span, 5, targets=(0, 1), known_before=60)
        rows = date_major_rows(panel, select_samples(panel, span, 5), span)
        gather = RowGather(panel, "fwd_3", ("open", "close"))
        reader = PriceReader(panel, PriceColumns("open", "close"), slab_rows=40)
        prices = [part for date in reader.dates(range(20, 60)) for part in (date.rows, date.fill, date.mark)]
        arrays = [known.first_rows, known.before, rows, gather.forward_returns(rows), gather.dates(rows)]
        arrays += [*gather.price_columns(rows), gather.adjustments(rows), *prices, panel.entity_of(rows)]
        found.append((arrays, known.num_purged, known.num_missing))
    (left, *counts), (right, *others) = found
    assert counts == others
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)
