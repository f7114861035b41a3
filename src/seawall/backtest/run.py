"""The portfolio backtest: what predictions would have earned, after costs, if traded.

**Time.** All periods are dates of the panel's calendar. The curve runs from the first date of the table to the last. At
a date t a strategy decides with the predictions of t, and its orders are filled at t + ``delay_periods`` at
``trade_price``; afterwards every position is marked at ``mark_price``. Decisions fall on every ``rebalance_periods``-th
date counted from the first, or on the first date of each week or month; a date with too few finite predictions decides
nothing, so positions stay (``num_decisions_skipped``), and a decision whose trade date lies after the last date is
dropped (``num_decisions_dropped``). Between decisions units are held and weights drift.

**Choice.** A name is eligible with a finite prediction on the decision date; the panel's universe acts through this, as
rows outside it are not predicted. Weights: :func:`~seawall.backtest.weights.target_weights`. ``top_k_dropout`` keeps
what it holds, sells the names among the ``n_drop`` worst of those held and the best not held, and buys the best not
held for equal parts of the cash then at hand; it decides with what it holds when it trades.

**Prices.** All accounting is in adjusted prices (price / adjustment); units are adjusted units, so a scale break of
factor f turns a share into 1/f shares without a jump in value. Where the panel has splits, held shares follow these and
nothing else: each row multiplies them by its split first and pays its dividend on the shares that then are, and the
panel's factors, which may hold both, are not used. The ledger shows unadjusted shares and prices. A price
that is missing or not above zero is no price. Where a date has a trade price but no mark price, the trade price is the
mark; where it has neither, the last mark is carried forward, to the end if an entity never trades again (counted after
20 dates: ``num_stale_positions``), or until ``delisting`` closes the position at what it leaves of the last mark.

**Size.** The target of a name is weight x equity / trade price, with equity valued at the moment of the trade:
tradable positions at this date's trade price, all others at their last mark before it, before costs. Nothing later is
known to an order. Names held and no longer wanted are closed. A change below 1e-12 of equity is not sent. Then, in this
order: a limit stops orders, ``participation`` cuts them, ``max_turnover`` scales all of them by one factor.

**Not tradable.** A name without a trade price on the trade date keeps its position; its order is dropped, not delayed
(``num_rejected``). The same holds for a buy where the trade price stands at or above the daily limit over the last
mark, and a sell at or below it (``num_limited``). Nothing is redistributed: other names keep the weights decided.

**Volume.** ``participation`` uses the volume of the trade date: it simulates how much the market fills, and no decision
sees it.

**Cash.** It earns and costs no interest. A long-only strategy never borrows: where sells do not pay for all buys and
all costs, every buy is scaled by the same factor, computed with the cost of the full orders, so that a little cash is
left rather than missing (only a fee above the proceeds of a sell can leave less than none). Others are not limited:
cash includes the proceeds of short sales. Once its equity is zero or below, a strategy sends no more orders.

**Costs.** Each trade pays ``max(cost_bps x notional, minimum_fee) + slippage_bps x notional`` from cash at once, with
the rates of its side and market. Each date pays ``borrow_bps_per_year / periods_per_year`` of the value of shares
sold short at their last marks. The panel's dividends, or the column ``dividend``, are received on shares held over the
date before, whether they are traded that date or not, and paid on short ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seawall.arrays import Float64, Int64
from seawall.backtest.benchmark import BenchmarkReturns
from seawall.backtest.book import Book, Setting, open_book
from seawall.backtest.config import BacktestConfig
from seawall.backtest.costs import costs_of
from seawall.backtest.market import Market
from seawall.backtest.memory import SLAB_ROWS
from seawall.backtest.predictions import DatePredictions, PredictionTable
from seawall.backtest.prices import PriceColumns, PriceReader
from seawall.budget.heartbeat import Beat, asked_to_shrink, silent
from seawall.stores.panel import Panel

NO_ROWS: Int64 = np.empty(0, np.int64)
NO_PREDICTIONS: Float64 = np.empty(0)

NOT_IN_SUMMARY = ("config", "years", "months")
"""Of a strategy's statistics: what stands in its own file alone."""


def backtest(
    panel: Path, table: Path, output: Path, config: BacktestConfig, *, slab_rows: int = SLAB_ROWS, beat: Beat = silent
) -> dict[str, Any]:
    """Run every strategy over a backtest table and write its curve, ledger and statistics.

    One pass over table and prices serves all strategies. Memory is O(entities), one slab of prices and one batch of the
    table; trades, positions and curves are set aside on disk, and one strategy's curve is read again at the end, when
    prices are gone. It does not grow with rows. No decision and no trade sees a later value.

    Parameters
    ----------
    panel
        The ``NAME.panel`` folder the predictions were made on.
    table
        The backtest table, sorted by (time, entity): the folder of its parts as the join wrote them, or one file.
    output
        Each strategy writes ``output/<name>/{ledger,positions,equity}.parquet`` and ``statistics.json``, in this order.
    slab_rows
        Rows of prices gathered at once. Changes no result.

    Returns
    -------
    dict
        ``num_predictions``, ``num_dates``, and the statistics of each strategy without their ``config`` and periods.

    Raises
    ------
    ConfigError
        For an unknown price column.
    FormatError, DataError
        Where the table is damaged, not sorted, or not of this panel.
    """
    store = Panel(panel)
    predictions = PredictionTable(table, store)
    prices = PriceReader(store, PriceColumns.of(config), slab_rows=slab_rows)
    span = predictions.span()
    names = pa.array(store.entities, pa.string())
    setting = Setting(store, config, costs_of(config, store), span)
    benchmark = BenchmarkReturns(config.benchmark, store)
    folders = [output / strategy.name for strategy in config.strategies]
    with ExitStack() as stack:
        books = [
            stack.enter_context(open_book(folder, setting, names, strategy))
            for folder, strategy in zip(folders, config.strategies, strict=True)
        ]
        market = _walk(setting, predictions, prices, books, benchmark, beat)
        statistics = {
            book.strategy.name: book.write(folder, market, store) for folder, book in zip(folders, books, strict=True)
        }
    return {
        "num_predictions": predictions.num_rows,
        "num_dates": len(span),
        "strategies": {name: {k: v for k, v in s.items() if k not in NOT_IN_SUMMARY} for name, s in statistics.items()},
    }


def _walk(
    setting: Setting,
    table: PredictionTable,
    reader: PriceReader,
    books: Sequence[Book],
    benchmark: BenchmarkReturns,
    beat: Beat,
) -> Market:
    """Take all books through every date; give the market as it was on the last."""
    store, span, costs = setting.panel, setting.span, setting.costs
    limits = costs.limit_E if costs.has_limits else None
    market = Market(store.shape.num_entities, limits, blocks_both=setting.config.convention == "qlib")
    dates = table.dates()
    upcoming = next(dates, None)
    for done, prices in enumerate(reader.dates(span), start=1):
        market.advance(prices, store.entity_of(prices.rows))
        today, upcoming = _taken(dates, upcoming, market.date)
        entities = store.entity_of(today.rows)
        of_benchmark = benchmark.over(market)
        benchmark.predicted(entities, today.predictions)
        for book in books:
            book.live(market, of_benchmark)
            book.decide(today, entities)
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
