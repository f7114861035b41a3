"""Claims of the backtest: state per entity, then the larger of the walk through prices and the writing at its end.

The walk holds one slab of prices and buffers of a fixed size; the end, without prices, one curve and one ledger. The
sizes that decide them stand here too, where the small parent can read them.
"""

from seawall.backtest.config import BacktestConfig, QuantileLongShort, TopK
from seawall.backtest.strategies import AnyStrategy, TopKDropout
from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.stores.shape import PanelShape
from seawall.units import KIB, MIB, format_bytes

FLOOR_BYTES = 42 * MIB
"""A stage's process with seawall, NumPy, pyarrow and its Parquet reader imported (39 MiB measured)."""

SLAB_ROWS = 131_072
"""Rows of prices gathered at once: 9 MiB, over a hundred dates of a thousand entities, so pages are fetched once."""

SLAB_ROW_BYTES = 80
"""A row in the slab: row number, order, three prices, dividend, volume, adjustment, one of them being computed, masks;
8 bytes each."""

DATE_ROW_BYTES = 200
"""A row of the current date: its prediction, entity numbers, the checks that it belongs here, ranks and weights."""

ENTITY_BYTES = 420
"""An entity: its name as text and in Arrow, offset, marks and prices, rates and limit, one trade in all names."""

STRATEGY_ENTITY_BYTES = 40
"""Units held, volatility and group of an entity."""

CALENDAR_BYTES = 24
"""A date of the calendar and of the bounds of its rows; 1 byte more for each strategy, whether it decides."""

DATE_BYTES = 200
"""A date of one curve at a time, as it is written and summed up at the end (190 B measured)."""

CURVE_ROW_BYTES = 80
"""A row of the curve on disk: nine float64 and one int32."""

BAND_BYTES = 65_536 * 40
"""Blocks of dates drawn at once for a band (metrics/bootstrap.py), their ends, their sums and the difference."""

TABLE_GROUP_ROWS = 65_536
"""Rows of a row group as the join writes it."""

TABLE_BATCH_ROWS = 8_192
"""Rows of the table unpacked at once: with a whole row group each made a peak of 5 MiB that lasted 10 ms."""

PART_GROUPS = 16
"""Row groups of one part of the table (FORMAT.md section 4)."""

NUM_FIXED_COLUMNS = 7
"""Of the table, beside its prices (FORMAT.md section 4)."""

FOOTER_CHUNK_BYTES = 4 * KIB
"""What Parquet keeps in memory per column of each row group of a file (3 KiB measured)."""

TABLE_BYTES = 6 * MIB
"""One row group of three columns, packed and unpacked."""

LEDGER_GROUP_ROWS = 32_768
"""Trades or positions per row group. A constant, not a knob: it decides the bytes of the file."""

LEDGER_ROW_BYTES, POSITION_ROW_BYTES = 44, 40
"""A trade, and a position, set aside."""

SPOOL_ROWS = 4096
"""Of either held before they are set aside."""

SPOOL_BYTES = SPOOL_ROWS * (LEDGER_ROW_BYTES + POSITION_ROW_BYTES) + 32 * KIB
"""Of one strategy; the rest is 256 rows of its curve."""

LEDGER_WRITE_BYTES = 8 * MIB
"""A row group being encoded; one at a time."""

LEDGER_GROUP_BYTES = 16 * KIB
"""What an open Parquet writer keeps of a row group it has written: 7 columns (12 KiB measured)."""

DIRTY_BYTES = 16 * MIB
"""What is set aside, and the ledger, are flushed after so much."""

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
    always, walk = _lasting_claims(config, shape), _walk_claims(config, shape)
    cache = container_claims(dirty_bytes=DIRTY_BYTES, library_text_bytes=LIBRARY_TEXT_BYTES)
    room_bytes = budget_bytes - _sum(always + walk + cache)
    smallest_rows = max(1, shape.max_rows_per_date)
    slab_rows = max(smallest_rows, min(SLAB_ROWS, shape.num_rows, room_bytes // SLAB_ROW_BYTES))
    formula = f"{slab_rows:,} rows x {SLAB_ROW_BYTES} B; at least one date"
    walk = (*walk, Claim("price slab", slab_rows * SLAB_ROW_BYTES, formula))
    return StagePlan(
        stage="backtest",
        private=(*always, *max(walk, _end_claims(config, shape), key=_sum)),
        cache=cache,
        disk=_disk_claims(config, shape),
        neutral={"slab_rows": slab_rows},
    )


def _sum(claims: tuple[Claim, ...]) -> int:
    return sum(claim.bytes for claim in claims)


def _lasting_claims(config: BacktestConfig, shape: PanelShape) -> tuple[Claim, ...]:
    num_strategies, num_entities, num_dates = len(config.strategies), shape.num_entities, shape.num_dates
    return (
        Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow imported"),
        Claim(
            "entities",
            num_entities * (ENTITY_BYTES + STRATEGY_ENTITY_BYTES * num_strategies),
            f"{num_entities:,} entities x ({ENTITY_BYTES} + {STRATEGY_ENTITY_BYTES} x {num_strategies} strategies) B",
        ),
        Claim(
            "calendar",
            num_dates * (CALENDAR_BYTES + num_strategies),
            f"{num_dates:,} dates x ({CALENDAR_BYTES} + {num_strategies} strategies) B",
        ),
        Claim(
            "set aside",
            num_strategies * SPOOL_BYTES,
            f"{num_strategies} strategies x {format_bytes(SPOOL_BYTES)} of trades, positions and dates before they are"
            " on disk",
        ),
    )


def _walk_claims(config: BacktestConfig, shape: PanelShape) -> tuple[Claim, ...]:
    """Claim what is held beside the slab while prices are read."""
    num_groups = min(PART_GROUPS, -(-shape.num_rows // TABLE_GROUP_ROWS))
    num_columns = NUM_FIXED_COLUMNS + shape.num_prices
    return (
        Claim(
            "one date",
            shape.max_rows_per_date * DATE_ROW_BYTES,
            f"{shape.max_rows_per_date:,} rows x {DATE_ROW_BYTES} B",
        ),
        Claim("table batch", TABLE_BYTES, "one row group of the table, three columns"),
        Claim(
            "parquet footer",
            num_groups * num_columns * FOOTER_CHUNK_BYTES,
            f"{num_groups} row groups of one part of the table x {num_columns} columns x 4 KiB",
        ),
        Claim(
            "waiting decisions",
            sum(_waiting_bytes(strategy, config, shape) for strategy in config.strategies),
            "names wanted x 16 B, for every decision inside one delay",
        ),
    )


def _end_claims(config: BacktestConfig, shape: PanelShape) -> tuple[Claim, ...]:
    """Claim what is held once prices are gone: one strategy at a time is written and summed up."""
    num_rows = max(max(_num_trades(s, shape), _num_positions(s, config, shape)) for s in config.strategies)
    num_groups = -(-num_rows // LEDGER_GROUP_ROWS)
    return (
        Claim("curve", shape.num_dates * DATE_BYTES, f"{shape.num_dates:,} dates x {DATE_BYTES} B, one at a time"),
        Claim("bands", BAND_BYTES, "65,536 blocks of dates drawn at once x 40 B"),
        Claim(
            "ledger",
            LEDGER_WRITE_BYTES + num_groups * LEDGER_GROUP_BYTES,
            f"one row group being encoded, and at most {num_groups:,} x 16 KiB of what its footer says",
        ),
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


def _num_decisions(strategy: AnyStrategy, shape: PanelShape) -> int:
    return shape.num_dates // (strategy.rebalance_periods or 1) + 1


def _num_trades(strategy: AnyStrategy, shape: PanelShape) -> int:
    """Trades at most: names that were held and names wanted, at each decision."""
    return _num_decisions(strategy, shape) * min(2 * _num_names(strategy, shape), shape.num_entities)


def _num_positions(strategy: AnyStrategy, config: BacktestConfig, shape: PanelShape) -> int:
    """Positions told of at most, where all names wanted can be traded."""
    num_dates = shape.num_dates if config.positions == "every_date" else _num_decisions(strategy, shape)
    return num_dates * _num_names(strategy, shape)


def _disk_claims(config: BacktestConfig, shape: PanelShape) -> tuple[Claim, ...]:
    strategies = config.strategies
    num_trades = sum(_num_trades(strategy, shape) for strategy in strategies)
    num_positions = sum(_num_positions(strategy, config, shape) for strategy in strategies)
    curve_bytes = shape.num_dates * CURVE_ROW_BYTES * len(strategies)
    return (
        Claim(
            "ledgers and curves",
            (num_trades + num_positions) * LEDGER_DISK_BYTES + curve_bytes,
            f"at most two trades and one position per name wanted and decision x {LEDGER_DISK_BYTES} B, and the curves",
        ),
        Claim(
            "set aside",
            num_trades * LEDGER_ROW_BYTES + num_positions * POSITION_ROW_BYTES + curve_bytes,
            f"trades x {LEDGER_ROW_BYTES} B, positions x {POSITION_ROW_BYTES} B and the curves, until they are written",
            temporary=True,
        ),
    )
