"""Claims of the backtest: state per entity, one row of the curve per date, one slab of prices, bounded buffers.

The sizes that decide them stand here too, where the small parent can read them.
"""

from seawall.backtest.config import BacktestConfig, QuantileLongShort, TopK
from seawall.backtest.strategies import AnyStrategy, TopKDropout
from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.stores.shape import PanelShape
from seawall.units import KIB, MIB, format_bytes

FLOOR_BYTES = 33 * MIB
"""Fresh interpreter with seawall, NumPy, pyarrow and its Parquet reader imported (31 MiB measured)."""

SLAB_ROWS = 131_072
"""Rows of prices gathered at once: 11 MiB, over a hundred dates of a thousand entities, so pages are fetched once."""

SLAB_ROW_BYTES = 104
"""A row in the slab: row number, order, three prices, dividend, volume, adjustment, masks; 8 bytes each."""

DATE_ROW_BYTES = 200
"""A row of the current date: its prediction, entity numbers, the checks that it belongs here, ranks and weights."""

ENTITY_BYTES = 420
"""An entity: its name as text and in Arrow, offset, marks and prices, rates and limit, one trade in all names."""

STRATEGY_ENTITY_BYTES = 40
"""Units held, volatility and group of an entity."""
DATE_BYTES = 200
"""A date of the calendar, and at the end of one curve at a time as it is written and summed up (190 B measured)."""

STRATEGY_DATE_BYTES = 80
"""A row of the curve: nine float64, one int32, and whether it decides."""

BAND_BYTES = 65_536 * 40
"""Blocks of dates drawn at once for a band (metrics/bootstrap.py), their ends, their sums and the difference."""

TABLE_BATCH_ROWS = 65_536
"""Rows of the table read at once: one row group as the join writes it."""

PART_GROUPS = 16
"""Row groups of one part of the table (FORMAT.md section 4)."""

NUM_FIXED_COLUMNS = 7
"""Of the table, beside its prices (FORMAT.md section 4)."""

FOOTER_CHUNK_BYTES = 4 * KIB
"""What Parquet keeps in memory per column of each row group of a file (3 KiB measured)."""

TABLE_BYTES = 6 * MIB
"""One row group of three columns, packed and unpacked."""

LEDGER_GROUP_ROWS = 32_768
"""Trades per row group. A constant, not a knob: it decides the bytes of the file."""

LEDGER_ROW_BYTES = 52

LEDGER_WRITER_BYTES = 1 * MIB
"""What an open Parquet writer keeps between row groups (0.3-0.6 MiB measured)."""

LEDGER_WRITE_BYTES = 6 * MIB
"""A row group being encoded; one at a time."""

DIRTY_BYTES = 16 * MIB
"""The ledger is flushed after so much, see ``ledger.FLUSH_GROUPS``."""

LIBRARY_TEXT_BYTES = 48 * MIB
"""Code pages of Python, NumPy and pyarrow alone (42 MiB measured)."""

LEDGER_DISK_BYTES = 48
"""A trade on disk: four numbers that barely compress, and keys that do."""


def plan(config: BacktestConfig, shape: PanelShape, budget_bytes: int) -> StagePlan:
    """Plan the backtest: the usual slab, or a smaller one where the budget is tight, never less than one date.

    Parameters
    ----------
    shape
        Sizes of the panel; the curve is claimed for its whole calendar.
    budget_bytes
        What the stage may use in all. A plan that does not fit is returned all the same, with the smallest slab.
    """
    fixed = _fixed_claims(config, shape)
    cache = container_claims(dirty_bytes=DIRTY_BYTES, library_text_bytes=LIBRARY_TEXT_BYTES)
    room_bytes = budget_bytes - sum(claim.bytes for claim in fixed + cache)
    smallest_rows = max(1, shape.max_rows_per_date)
    slab_rows = max(smallest_rows, min(SLAB_ROWS, shape.num_rows, room_bytes // SLAB_ROW_BYTES))
    formula = f"{slab_rows:,} rows x {SLAB_ROW_BYTES} B; at least one date"
    slab = Claim("price slab", slab_rows * SLAB_ROW_BYTES, formula)
    return StagePlan(
        stage="backtest",
        private=(*fixed, slab),
        cache=cache,
        disk=(_disk_claim(config, shape),),
        neutral={"slab_rows": slab_rows},
    )


def _fixed_claims(config: BacktestConfig, shape: PanelShape) -> tuple[Claim, ...]:
    num_strategies, num_entities, num_dates = len(config.strategies), shape.num_entities, shape.num_dates
    book_bytes = LEDGER_GROUP_ROWS * LEDGER_ROW_BYTES + LEDGER_WRITER_BYTES
    waiting_bytes = sum(_waiting_bytes(strategy, config, shape) for strategy in config.strategies)
    num_groups = min(PART_GROUPS, -(-shape.num_rows // TABLE_BATCH_ROWS))
    num_columns = NUM_FIXED_COLUMNS + shape.num_prices
    return (
        Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow imported"),
        Claim(
            "entities",
            num_entities * (ENTITY_BYTES + STRATEGY_ENTITY_BYTES * num_strategies),
            f"{num_entities:,} entities x ({ENTITY_BYTES} + {STRATEGY_ENTITY_BYTES} x {num_strategies} strategies) B",
        ),
        Claim(
            "curves",
            num_dates * (DATE_BYTES + STRATEGY_DATE_BYTES * num_strategies),
            f"{num_dates:,} dates x ({DATE_BYTES} + {STRATEGY_DATE_BYTES} x {num_strategies} strategies) B",
        ),
        Claim(
            "one date",
            shape.max_rows_per_date * DATE_ROW_BYTES,
            f"{shape.max_rows_per_date:,} rows x {DATE_ROW_BYTES} B",
        ),
        Claim(
            "bands",
            BAND_BYTES,
            "65,536 blocks of dates drawn at once x 40 B, at the end",
        ),
        Claim("table batch", TABLE_BYTES, "one row group of the table, three columns"),
        Claim(
            "parquet footer",
            num_groups * num_columns * FOOTER_CHUNK_BYTES,
            f"{num_groups} row groups of one part of the table x {num_columns} columns x 4 KiB",
        ),
        Claim(
            "ledgers",
            num_strategies * book_bytes + LEDGER_WRITE_BYTES,
            f"{num_strategies} strategies x {format_bytes(book_bytes)}, and one row group being encoded",
        ),
        Claim("waiting decisions", waiting_bytes, "names wanted x 16 B, for every decision inside one delay"),
    )


def _num_names(strategy: AnyStrategy, shape: PanelShape) -> int:
    """Names wanted at once."""
    if isinstance(strategy, TopK | TopKDropout):
        return min(strategy.k, shape.max_rows_per_date)
    if isinstance(strategy, QuantileLongShort):
        return 2 * (shape.max_rows_per_date // strategy.num_quantiles)
    return shape.max_rows_per_date


def _waiting_bytes(strategy: AnyStrategy, config: BacktestConfig, shape: PanelShape) -> int:
    num_waiting = config.delay_periods // (strategy.rebalance_periods or 1) + 1
    num_names = shape.max_rows_per_date if isinstance(strategy, TopKDropout) else _num_names(strategy, shape)
    return num_waiting * num_names * 16


def _disk_claim(config: BacktestConfig, shape: PanelShape) -> Claim:
    num_trades = sum(
        (shape.num_dates // (strategy.rebalance_periods or 1) + 1) * 2 * _num_names(strategy, shape)
        for strategy in config.strategies
    )
    curve_bytes = shape.num_dates * STRATEGY_DATE_BYTES * len(config.strategies)
    return Claim(
        "ledgers and curves",
        num_trades * LEDGER_DISK_BYTES + curve_bytes,
        f"at most two trades per name wanted and decision x {LEDGER_DISK_BYTES} B, and the curves",
    )
