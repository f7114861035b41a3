"""Claims of ingest: one parsed block, the scatter buffers, then one bucket with its SQL and its arrays."""

from dataclasses import dataclass

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.budget.environment import available_cores
from seawall.ingest.config import IngestConfig
from seawall.ingest.recipe import kept_columns
from seawall.ingest.record import record_layout, uses_sql
from seawall.stores.shape import ROLE_BYTES, PanelShape
from seawall.units import KIB, MIB, format_bytes

FLOOR_BYTES = 72 * MIB
"""Fresh interpreter with seawall, NumPy, pyarrow and DuckDB imported and a connection open (46 MiB measured), and
Arrow's functions registered (24 MiB)."""

PLAIN_FLOOR_BYTES = 60 * MIB
"""The same where no expression asks for DuckDB."""

BARE_FLOOR_BYTES = 48 * MIB
"""The same without features and where Arrow parses no text (38 MiB measured, 44 once rows were read)."""

BARE_TEXT_BYTES = 48 * MIB
"""Code pages of Python, NumPy and pyarrow alone (42 MiB measured)."""

PARSER_BYTES = 20 * MIB
PARSER_THREAD_BYTES = 14 * MIB
"""Pieces of 1 MiB being parsed and waiting, and Arrow's buffers: 30 MiB with one thread, 12 MiB for each more (measured
with 60 columns)."""

PASSING_BYTES = 64
"""Columns that come and go while a row is sorted and its targets are made; where there is SQL its floor covers them (51
B measured)."""

PARQUET_BYTES = 16 * MIB
"""A block of 2 MiB as Arrow has it, as numbers, and as rows (12 MiB measured with one column)."""

PARQUET_COLUMN_BYTES = 160 * KIB
"""More of each column beside its pages."""

SQL_FLOOR_BYTES = 18 * MIB
"""DuckDB beside the rows of a bucket, and what the parser's heap keeps (15 MiB measured over 1-8 MiB of bucket)."""

WINDOW_STATE_BYTES = 48
"""DuckDB's state of one window expression, per row of the entity it works on (20 B measured over 100 frames), and the
vectors it is filled through (as much again where buckets are small)."""

FEATURE_SET_BYTES = 6 * MIB
"""One chunk of a feature set: 8,192 positions of its bars, moments of its windows, the longest window sorted."""

FEATURE_CHUNK_BYTES = 4 * 8192
"""One feature of such a chunk."""

DATE_BYTES = 32
"""Calendar, and the rows of each date counted, summed up, and cut into parts (25 B measured over 3.5 million dates)."""

INDEX_BYTES = 6 * MIB
"""Blocks of 131,072 rows while the by-time order is built."""

DATE_SLAB_BYTES = 16 * MIB
"""Rows of whole dates held at once: the larger, the longer the runs that are read and written back."""

DATE_SORT_BYTES = 140
"""Keys, order and results of one column of a slab, per row."""

BUCKET_BYTES = 8 * MIB
"""Rows held at once. Larger buckets are not faster: the pass is bound by parsing and SQL, not by the file count."""

BUCKET_BYTES_MIN = 1 * MIB
JOIN_BUCKETS = 64
"""Entity ranges that several tables are scattered to."""

JOIN_HELD_BYTES = 4 * MIB
"""Rows of whole entities, with their matches, joined at once."""

STATIC_BYTES = 16 * MIB
"""The table of static attributes twice; a larger one is refused."""

NUM_BUCKETS_MAX = 4096
SLAB_BYTES = 8 * MIB
STAGING_BYTES = 32 * MIB
"""Rows gathered before a run is written: longer runs make fewer and longer reads in the second pass."""

STAGING_BYTES_MIN = 2 * MIB
PARSE_THREADS_MAX = 4
"""One thread scatters what others parse, and keeps about four busy."""


@dataclass(frozen=True, slots=True)
class BucketSizes:
    """Bytes of one row at each place it passes."""

    record_bytes: int
    working_bytes: int

    @property
    def factor(self) -> float:
        """Working memory per byte of bucket file."""
        return self.working_bytes / self.record_bytes


def bucket_sizes(config: IngestConfig) -> BucketSizes:
    """Bytes per row: in the bucket file, and at the worst moment of its pass through memory."""
    layout = record_layout(config)
    num_sql = len(layout.computed) + (config.universe is not None)
    num_targets, num_prices = len(config.targets), len(config.prices)
    record_bytes = layout.record_bytes
    sorted_bytes = record_bytes * (3 if config.layout.wide == "*" else 1) + 3 * 8  # sorted and merged by key before
    table_bytes = 8 * (3 + len(layout.wide) + num_prices + 1) if num_sql else 0
    sql_bytes = 16 * num_sql + 2 * table_bytes  # each result once in DuckDB and once in our array
    set_bytes = 8 * (6 + 2) if config.feature_sets else 0  # adjusted bars and places of one set, after the SQL
    sql_bytes = max(sql_bytes, set_bytes) if uses_sql(config) else max(PASSING_BYTES, set_bytes)
    stored_columns = num_prices + len(kept_columns(config))
    output_bytes = 4 * len(config.feature_names) + 24 * num_targets + 8 * stored_columns + 8 + 1 + 8
    output_bytes += 3 * sum(ROLE_BYTES[role] for role in config.roles)  # as read, as stored, and what marks them
    return BucketSizes(record_bytes, sorted_bytes + table_bytes + sql_bytes + output_bytes)


def plan(
    config: IngestConfig, shape: PanelShape, budget_bytes: int, *, largest_bucket_bytes: int | None = None
) -> StagePlan:
    """Plan ingest: how many rows are held at once, and so how many bucket files there are.

    A bucket holds whole entities, so the longest entity is its lower bound. Before ingest the shape is an estimate from
    a sample; once the rows are scattered the counts are exact and the plan is made again.

    Parameters
    ----------
    budget_bytes
        What the stage may use in all.
    largest_bucket_bytes
        Of the bucket files, once they are written: cut evenly they are smaller than they might have been.
    """
    sizes, has_sql = bucket_sizes(config), uses_sql(config)
    names_bytes = DATE_BYTES * shape.num_dates + 240 * shape.num_entities
    order_bytes = min(SLAB_BYTES, 8 * shape.num_rows) + INDEX_BYTES
    is_plain = not (has_sql or config.feature_sets or config.static or config.tables)
    is_bare = is_plain and not (config.features or shape.source_bytes)
    floor_bytes = (BARE_FLOOR_BYTES if is_bare else PLAIN_FLOOR_BYTES) if is_plain else FLOOR_BYTES
    cache = container_claims(library_text_bytes=BARE_TEXT_BYTES) if is_bare else container_claims()
    num_sql = len(record_layout(config).computed) + (config.universe is not None)
    held_rows = shape.max_rows_per_entity
    if shape.rows_around is not None:
        held_rows = min(held_rows, BUCKET_BYTES // sizes.record_bytes + shape.rows_around)
    engine_bytes = SQL_FLOOR_BYTES + WINDOW_STATE_BYTES * held_rows * num_sql if has_sql else 0
    widest = max((len(chosen.names) for chosen in config.feature_sets), default=0)
    engine_bytes += FEATURE_SET_BYTES + FEATURE_CHUNK_BYTES * widest if widest else 0
    fixed_bytes = (
        floor_bytes + engine_bytes + names_bytes + sum(c.bytes for c in (*cache, *_beside_claims(config, shape)))
    )
    room_bytes = budget_bytes - fixed_bytes
    bucket_bytes = int(min(BUCKET_BYTES, max(BUCKET_BYTES_MIN, room_bytes / sizes.factor)))
    total_bytes = shape.num_rows * sizes.record_bytes
    staging_bytes = min(STAGING_BYTES, total_bytes, max(STAGING_BYTES_MIN, room_bytes // 8))
    threads = max(1, min(PARSE_THREADS_MAX, available_cores(), room_bytes // (4 * PARSER_THREAD_BYTES)))
    parser_bytes = PARSER_BYTES + threads * PARSER_THREAD_BYTES if shape.source_bytes else _parquet_bytes(config)
    parser_bytes = parser_bytes * min(total_bytes, MIB) // MIB
    num_buckets = min(NUM_BUCKETS_MAX, max(1, -(-5 * total_bytes // (4 * bucket_bytes))))  # room for uneven ranges
    filled_bytes = total_bytes if largest_bucket_bytes is None else largest_bucket_bytes
    held_bytes = max(min(bucket_bytes, filled_bytes), held_rows * sizes.record_bytes)
    num_date_rows = date_rows(config, shape)
    return StagePlan(
        stage="ingest",
        private=(
            Claim(
                "interpreter and libraries",
                floor_bytes,
                f"Python, NumPy, pyarrow{'' if is_plain else ', DuckDB'} imported",
            ),
            *_largest_pass(
                _reading_claims(parser_bytes, shape.page_bytes * (2 + len(config.value_columns)), staging_bytes),
                _bucket_claims(engine_bytes, held_bytes, sizes.factor),
                _date_claims(engine_bytes, num_date_rows * date_row_bytes(config)),
                _order_claims(engine_bytes, order_bytes),
            ),
            Claim("names and dates", names_bytes, f"{DATE_BYTES} B a date, 240 B an entity"),
            *_beside_claims(config, shape),
        ),
        cache=cache,
        disk=(
            Claim("bucket files", total_bytes, f"{shape.num_rows:,} rows x {sizes.record_bytes} B", temporary=True),
            *_join_disk(config, total_bytes),
            Claim("store", shape.store_bytes, "all arrays of the panel"),
        ),
        neutral={
            "bucket_bytes": bucket_bytes,
            "num_buckets": num_buckets,
            "slab_bytes": SLAB_BYTES,
            "staging_bytes": staging_bytes,
            "parse_threads": threads,
        }
        | ({"date_rows": num_date_rows} if config.compares_names else {}),
    )


def date_row_bytes(config: IngestConfig) -> int:
    """Bytes of one row in the pass by date: its features, its targets, and the sorting of one column."""
    return 4 * len(config.feature_names) + 24 * len(config.targets) + DATE_SORT_BYTES


def date_rows(config: IngestConfig, shape: PanelShape) -> int:
    """Rows of whole dates held at once: a slab, one date at least."""
    if not config.compares_names:
        return 0
    return max(shape.max_rows_per_date, min(shape.num_rows, DATE_SLAB_BYTES // date_row_bytes(config)))


def _beside_claims(config: IngestConfig, shape: PanelShape) -> tuple[Claim, ...]:
    static = Claim("static attributes", STATIC_BYTES, "at most 8 MiB, as read and as stored")
    how = "rows of whole entities and their matches, as read, sorted and joined: 4 MiB, or the longest entity twice"
    joined = Claim("joined tables", join_bytes(config, shape), how)
    return (*((static,) if config.static else ()), *((joined,) if config.tables else ()))


def _join_disk(config: IngestConfig, total_bytes: int) -> tuple[Claim, ...]:
    how = "rows of all tables in buckets, and joined"
    return (Claim("joined rows", 3 * total_bytes, how, temporary=True),) if config.tables else ()


def join_row_bytes(config: IngestConfig) -> int:
    """Bytes of one row while tables are joined: as read, sorted, and in the joined columns."""
    return 3 * (20 + 8 * len(config.value_columns))


def join_bytes(config: IngestConfig, shape: PanelShape) -> int:
    """Bytes that joining may hold: a group of entities, or the longest one with as many matches as it has rows."""
    return max(JOIN_HELD_BYTES, 2 * shape.max_rows_per_entity * join_row_bytes(config))


def _largest_pass(*passes: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """Choose the pass that claims most: they follow one another and hold nothing at the same time."""
    return max(passes, key=lambda claims: sum(claim.bytes for claim in claims))


def _parquet_bytes(config: IngestConfig) -> int:
    return PARQUET_BYTES + PARQUET_COLUMN_BYTES * len(config.value_columns)


def _reading_claims(parser_bytes: int, pages_bytes: int, staging_bytes: int) -> tuple[Claim, ...]:
    how = "CSV pieces of 1 MiB in each thread and before them, or a Parquet block of 2 MiB"
    return (
        Claim("parser", parser_bytes, how),
        Claim("pages", pages_bytes, "one page of every column that is read, packed and unpacked (Parquet)"),
        Claim("staging", staging_bytes, "rows gathered before a run is written"),
    )


def _bucket_claims(engine_bytes: int, held_bytes: int, factor: float) -> tuple[Claim, ...]:
    how = f"{format_bytes(held_bytes)} of rows x {factor:.1f} (sorted copy, SQL table, results, arrays)"
    return (
        Claim("sql and sets", engine_bytes, f"DuckDB, {WINDOW_STATE_BYTES} B x longest entity x expressions, a chunk"),
        Claim("bucket", int(held_bytes * factor), how),
    )


def _date_claims(engine_bytes: int, date_bytes: int) -> tuple[Claim, ...]:
    how = f"{format_bytes(date_bytes)}: a slab of whole dates, features, targets and the sorting of a column"
    return (Claim("sql and sets", engine_bytes, "DuckDB, as the buckets left it"), Claim("dates", date_bytes, how))


def _order_claims(engine_bytes: int, order_bytes: int) -> tuple[Claim, ...]:
    how = "one slab of the order by time, and blocks of 131,072 rows"
    return (Claim("sql and sets", engine_bytes, "DuckDB, as the buckets left it"), Claim("order", order_bytes, how))
