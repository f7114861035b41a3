"""The portfolio backtest: what predictions would have earned, after costs, if traded.

**Time.** All periods are dates of the panel's calendar. The curve runs from the first date of the table to the last. At
a date t a strategy decides with the predictions of t, and its orders are filled at t + ``delay_periods`` at
``trade_price``; afterwards every position is marked at ``mark_price``. Decisions fall on every ``rebalance_periods``-th
date counted from the first; a date with too few finite predictions decides nothing, so positions stay (counted:
``num_decisions_skipped``), and a decision whose trade date lies after the last date is dropped (counted:
``num_decisions_dropped``). Between decisions units are held and weights drift.

**Choice.** A name is eligible with a finite prediction on the decision date; the panel's universe acts through this, as
rows outside it are not predicted. Eligible names stand in one order: highest prediction first, ties in the order of
entities (byte order of names). ``top_k`` wants ``gross_exposure / k`` of each of the first k, and leaves the rest in
cash where fewer are eligible. ``quantile_long_short`` wants the first and the last ``floor(n / num_quantiles)`` of n
names, in equal weights that sum to ``gross_exposure / 2`` on each side; with n < ``num_quantiles`` it decides nothing.

**Prices.** All accounting is in adjusted prices (price / adjustment); units are adjusted units, so a scale break of
factor f turns a share into 1/f shares without a jump in value. The ledger shows unadjusted shares and prices. A price
that is missing or not above zero is no price. Where a date has a trade price but no mark price, the trade price is the
mark; where it has neither, the last mark is carried forward, to the end if an entity never trades again (counted after
20 dates: ``num_stale_positions``).

**Size.** The target of a name is weight x equity / trade price, with equity valued at the moment of the trade:
tradable positions at this date's trade price, all others at their last mark before it, before costs. Nothing later is
known to an order. Names held and no longer wanted are closed. A change below 1e-12 of equity is not sent.

**Not tradable.** A name without a trade price on the trade date keeps its position; its order is dropped, not delayed
(counted: ``num_rejected``). Nothing is redistributed: other names keep the weights decided.

**Cash.** It earns and costs no interest, and borrowing shares is free. ``top_k`` never borrows: where sells do not pay
for all buys and all costs, every buy is scaled by the same factor, computed with the cost of the full orders, so that a
little cash is left rather than missing (only a fee above the proceeds of a sell can leave less than none).
``quantile_long_short`` is not limited: cash includes the proceeds of short sales. Once its equity is zero or below, a
strategy sends no more orders.

**Costs.** Each trade pays ``max(cost_bps x notional, minimum_fee) + slippage_bps x notional`` from cash at once.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seawall.arrays import Float64, Int64
from seawall.backtest.book import Book, open_book
from seawall.backtest.config import BacktestConfig
from seawall.backtest.market import Market
from seawall.backtest.memory import SLAB_ROWS
from seawall.backtest.predictions import DatePredictions, PredictionTable
from seawall.backtest.prices import PriceReader
from seawall.budget.heartbeat import Beat, asked_to_shrink, silent
from seawall.stores.panel import Panel

NO_ROWS: Int64 = np.empty(0, np.int64)
NO_PREDICTIONS: Float64 = np.empty(0)


def backtest(
    panel: Path, table: Path, output: Path, config: BacktestConfig, *, slab_rows: int = SLAB_ROWS, beat: Beat = silent
) -> dict[str, Any]:
    """Run every strategy over a backtest table and write its curve, ledger and statistics.

    One pass over table and prices serves all strategies. Memory is O(entities + dates) and one ledger row group per
    strategy, one slab of prices and one batch of the table; it does not grow with rows. No decision and no trade sees a
    later value.

    Parameters
    ----------
    panel
        The ``NAME.panel`` folder the predictions were made on.
    table
        ``table.parquet`` of the join: sorted by (time, entity).
    output
        Each strategy writes ``output/<name>/{ledger.parquet, equity.parquet, statistics.json}``, in this order.
    slab_rows
        Rows of prices gathered at once. Changes no result.

    Returns
    -------
    dict
        ``num_predictions``, ``num_dates``, and the statistics of each strategy without their ``config``.

    Raises
    ------
    ConfigError
        For an unknown price column.
    FormatError, DataError
        Where the table is damaged, not sorted, or not of this panel.
    """
    store = Panel(panel)
    predictions = PredictionTable(table, store)
    prices = PriceReader(store, trade_price=config.trade_price, mark_price=config.mark_price, slab_rows=slab_rows)
    span = predictions.span()
    names = pa.array(store.entities, pa.string())
    folders = [output / strategy.name for strategy in config.strategies]
    with ExitStack() as stack:
        books = [
            stack.enter_context(open_book(folder, store, names, config, strategy, span))
            for folder, strategy in zip(folders, config.strategies, strict=True)
        ]
        market = _walk(store, predictions, prices, books, span, beat)
    statistics = {
        book.strategy.name: book.write(folder, market, store) for folder, book in zip(folders, books, strict=True)
    }
    return {
        "num_predictions": predictions.num_rows,
        "num_dates": len(span),
        "strategies": {name: {k: v for k, v in s.items() if k != "config"} for name, s in statistics.items()},
    }


def _walk(
    store: Panel,
    table: PredictionTable,
    reader: PriceReader,
    books: Sequence[Book],
    span: range,
    beat: Beat,
) -> Market:
    """Take all books through every date; give the market as it was on the last."""
    market = Market(store.shape.num_entities)
    dates = table.dates()
    upcoming = next(dates, None)
    for done, prices in enumerate(reader.dates(span), start=1):
        market.advance(prices, store.entity_of(prices.rows))
        today, upcoming = _taken(dates, upcoming, market.date)
        entities = store.entity_of(today.rows)
        for book in books:
            book.live(market)
            book.decide(market.date, entities, today.predictions)
        beat("backtest", done, len(span))
        reader.shrink(asked_to_shrink(beat))
    return market


def _taken(
    dates: Iterator[DatePredictions], upcoming: DatePredictions | None, date: int
) -> tuple[DatePredictions, DatePredictions | None]:
    """Take this date's predictions from the stream, none where it has none."""
    if upcoming is None or upcoming.date != date:
        return DatePredictions(date, NO_ROWS, NO_PREDICTIONS), upcoming
    return upcoming, next(dates, None)
