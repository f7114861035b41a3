"""Claims of evaluate: one row group of predictions, one date, and a row of numbers per date."""

from collections.abc import Mapping
from typing import Any

from seawall.budget.claims import DIRTY_WINDOW_BYTES, Claim, StagePlan, container_claims
from seawall.evaluate.config import MAX_GROUPS, EvaluateConfig
from seawall.stores.pages import pages_claim
from seawall.stores.shape import PanelShape
from seawall.tables.memory import fewest_claims, rows_claim, runs_claim, table_cache_claims
from seawall.units import KIB, MIB

FLOOR_BYTES = 46 * MIB
"""Fresh process with seawall, NumPy, Parquet and scipy.special imported (40 MiB measured; 4 more for the config)."""

READER_BYTES = 8 * MIB
"""Parquet reader and the columns of one row group of predictions (5-6 MiB measured)."""

ROW_GROUP_ROWS = 65_536
"""Rows of one row group of the prediction store (FORMAT.md section 3)."""

FOOTER_CHUNK_BYTES = 4 * KIB
"""What Parquet keeps in memory per column of each row group (3 KiB measured)."""

LIBRARY_TEXT_BYTES = 56 * MIB
"""Code pages of Python, NumPy, pyarrow and scipy.special (51 MiB measured)."""

SCIPY_BYTES = 16 * MIB
"""scipy.special imported (15 MiB measured)."""

PART_DATES = 8192
"""Dates whose numbers are held at once, and written as one row group (evaluate/daily.py)."""

WRITER_BYTES = 8 * MIB
"""Parquet writer of some twenty columns (6-7 MiB measured)."""

SUMMARY_DATE_BYTES = 64
"""What summarising one number a date holds: the series, its copies without what is undefined (32 B measured), marks."""

TRANSFORM_DATES, TRANSFORM_DATE_BYTES = 32_768, 190
"""Dates of a series transformed at once (metrics/cosines.py), and what a transform and its plan take of each."""

FEWEST_DATES = 20_000
"""Dates that can be summarised beside the smallest row buffer."""

BESIDE_DATE_BYTES = 160
"""Three numbers a date of the model and of another, how many they are of, their quotients and one difference."""

ENTITY_BYTES = 3072
"""Moments of an entity (1 KiB), its name, its numbers as they are collected."""

ENTITY_ROW_BYTES = 64
"""Of a row group while it is put in order of entities: group, order, prediction, target, twice."""

BAND_BYTES = 65_536 * 40
"""Blocks of dates drawn at once for a band (metrics/bootstrap.py), their ends, their sums and the difference."""


_NUM_PREDICTION_COLUMNS = 5
_DATE_ROW_BYTES = 160
"""Per name of a date: row, targets and predictions as float64, their ranks, order and groups."""


def plan(
    config: EvaluateConfig,
    shape: PanelShape,
    budget_bytes: int,
    *,
    num_paths: int = 1,
    num_targets: int = 1,
    num_beside: int = 0,
) -> StagePlan:
    """Plan evaluate. It has no knobs: claims grow with dates and names of a date. Panel pages are lent: what is left.

    Parameters
    ----------
    shape
        Sizes of the panel; every date of it may hold predictions.
    budget_bytes
        What the stage may use in all.
    num_paths
        Times that each date is predicted.
    num_targets
        Targets that are predicted: they are judged one after another, each with files of its own.
    num_beside
        Columns beside the predictions of a target: seeds, their spread, baselines.
    """
    num_row_groups = num_paths * -(-shape.num_rows // ROW_GROUP_ROWS)
    num_tables = 2 * num_paths + 1 if num_paths > 1 else 2
    num_columns = _NUM_PREDICTION_COLUMNS - 1 + num_targets * (1 + num_beside)
    daily_bytes, row_bytes = _daily_row_bytes(config), _DATE_ROW_BYTES + 8 * (len(config.decay_horizons) + 4)
    earlier_bytes = _earlier_bytes(config, shape.num_entities)
    private = (
        Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow, scipy.special imported"),
        Claim("predictions", READER_BYTES, f"one row group of {ROW_GROUP_ROWS:,} rows and its reader"),
        Claim(
            "parquet footer",
            num_row_groups * num_columns * FOOTER_CHUNK_BYTES,
            f"{num_row_groups:,} row groups x {num_columns} columns x 4 KiB",
        ),
        Claim(
            "one date",
            shape.max_rows_per_date * row_bytes,
            f"{shape.max_rows_per_date:,} names of the largest date x {row_bytes} B",
        ),
        Claim(
            "scores of earlier dates",
            earlier_bytes,
            f"{shape.num_entities:,} names x 8 B x {max(config.decay_lags, default=0)} dates, and 32 B of ranks",
        ),
        *_beside_claims(config, shape, num_beside),
        Claim("bands", BAND_BYTES, "65,536 blocks of dates drawn at once x 40 B, at the end"),
        _daily_claim(min(shape.num_dates, PART_DATES), daily_bytes),
        *([_paths_claim(shape.num_dates, daily_bytes, num_paths)] if num_paths > 1 else []),
        _summaries_claim(shape.num_dates),
    )
    tables_bytes = num_targets * num_tables * shape.num_dates * daily_bytes
    dirty_bytes = min(DIRTY_WINDOW_BYTES, tables_bytes + MIB)
    cache = container_claims(dirty_bytes=dirty_bytes, library_text_bytes=LIBRARY_TEXT_BYTES)
    room_bytes = budget_bytes - sum(claim.bytes for claim in (*private, *cache))
    return StagePlan(
        stage="evaluate",
        private=private,
        cache=(*cache, pages_claim(shape, room_bytes)),
        disk=(
            Claim(
                "daily.parquet",
                tables_bytes,
                f"{shape.num_dates:,} dates x {daily_bytes} B x {num_tables} (set aside, and written)"
                + (f" x {num_targets} targets" if num_targets > 1 else ""),
            ),
            Claim("metrics.json", MIB, "some KiB per fold"),
        ),
    )


def plan_tables(config: EvaluateConfig, found: Mapping[str, Any], budget_bytes: int) -> StagePlan:
    """Plan to judge outside predictions: the row buffer takes what the fixed parts leave.

    How many dates there are is known only after the one reading. Their numbers are summarised when reader and row
    buffer are done with, so a plan has room for 20,000 dates, and for all that those two are worth: ``max_dates``.

    Parameters
    ----------
    found
        Sizes of ``predictions``, and of ``returns`` where there are any (tables/look.py).
    budget_bytes
        What the child may use in all.
    """
    sides = tuple(found.values())
    num_entities, num_rows = max(side["entities"] for side in sides), found["predictions"]["rows"]
    held_bytes = _held_bytes(config, num_entities)
    summing = BAND_BYTES + _transform_bytes(TRANSFORM_DATES)
    writing = _daily_claim(min(num_rows, PART_DATES), _daily_row_bytes(config))
    largest_date = Claim(
        "one date, and the daily table",
        held_bytes + max(summing + FEWEST_DATES * SUMMARY_DATE_BYTES, writing.bytes),
        f"scipy.special, {num_entities:,} names x {held_bytes // num_entities} B, and either bands, a transform and"
        f" {FEWEST_DATES:,} dates summarised x {SUMMARY_DATE_BYTES} B, or {writing.formula}",
    )
    # Dates are set aside, and written, so many at a time, and flushed each time.
    written_bytes = runs_claim(sides).bytes + 2 * min(num_rows, PART_DATES) * _daily_row_bytes(config) + MIB
    fixed, cache = fewest_claims(sides, largest_date), table_cache_claims(written_bytes)
    rows, buffer_rows = rows_claim(sides, budget_bytes - sum(claim.bytes for claim in (*fixed, *cache)))
    max_dates = (fixed[-1].bytes + rows.bytes - held_bytes - summing) // SUMMARY_DATE_BYTES
    daily_bytes = 2 * min(num_rows, max_dates) * _daily_row_bytes(config)
    return StagePlan(
        stage="evaluate",
        private=(*fixed, rows),
        cache=cache,
        disk=(
            runs_claim(sides),
            Claim("metrics", MIB + daily_bytes, "numbers of each date, set aside and written: for the most dates"),
        ),
        neutral={"buffer_rows": buffer_rows, "max_dates": max_dates},
    )


def _beside_claims(config: EvaluateConfig, shape: PanelShape, num_beside: int) -> tuple[Claim, ...]:
    """Claim what is judged after the predictions themselves: one other column at a time, and each entity."""
    claims = []
    if num_beside:
        held = READER_BYTES + shape.num_dates * BESIDE_DATE_BYTES + shape.max_rows_per_date * _DATE_ROW_BYTES
        how = f"a second row group and date, {shape.num_dates:,} dates x {BESIDE_DATE_BYTES} B"
        claims.append(Claim("seeds and baselines", held, how))
    if config.by_entity:
        held = shape.num_entities * ENTITY_BYTES + ROW_GROUP_ROWS * ENTITY_ROW_BYTES
        how = f"{shape.num_entities:,} entities x {ENTITY_BYTES} B, {ROW_GROUP_ROWS:,} rows x {ENTITY_ROW_BYTES} B"
        claims.append(Claim("errors by entity", held, how))
    return tuple(claims)


def _daily_claim(num_dates: int, row_bytes: int) -> Claim:
    formula = f"{num_dates:,} dates at once x {row_bytes} B x 3 (held, copied, encoded), and 8 MiB of the writer"
    return Claim("daily table", WRITER_BYTES + 3 * num_dates * row_bytes, formula)


def _paths_claim(num_dates: int, row_bytes: int, num_paths: int) -> Claim:
    """Claim what combinatorial folds hold in memory: all paths one after another, and their mean."""
    num_tables = 2 * num_paths + 2
    formula = f"{num_dates:,} dates x {row_bytes} B x {num_tables} ({num_paths} paths, compared; their mean, a copy)"
    return Claim("paths", num_tables * num_dates * row_bytes, formula)


def _summaries_claim(num_dates: int) -> Claim:
    at_once = min(num_dates, TRANSFORM_DATES)
    formula = (
        f"{num_dates:,} dates x {SUMMARY_DATE_BYTES} B (a series), {at_once:,} x {TRANSFORM_DATE_BYTES} B (transform)"
    )
    return Claim("summaries", num_dates * SUMMARY_DATE_BYTES + _transform_bytes(at_once), formula)


def _transform_bytes(num_dates: int) -> int:
    return num_dates * TRANSFORM_DATE_BYTES


def _held_bytes(config: EvaluateConfig, num_entities: int) -> int:
    """Give what stays until the last date is summarised: SciPy, one date, earlier scores, and the dates held."""
    held_dates = 2 * max(config.decay_horizons, default=0)
    name_bytes = _DATE_ROW_BYTES + _earlier_bytes(config, 1) + 8 * held_dates
    return SCIPY_BYTES + num_entities * name_bytes + PART_DATES * _daily_row_bytes(config)


def _daily_row_bytes(config: EvaluateConfig) -> int:
    """Time, fold, counts, six numbers, a number for each quantile, lag and horizon, and two for each group."""
    num_series = config.num_quantiles + len(config.decay_lags) + len(config.decay_horizons)
    return 72 + 8 * (num_series + (2 * MAX_GROUPS if config.group else 0))


def _earlier_bytes(config: EvaluateConfig, num_entities: int) -> int:
    """Scores of as many dates as the longest lag, and ranks and marks of the date before and of this one."""
    return num_entities * (8 * max(config.decay_lags, default=0) + 32)
