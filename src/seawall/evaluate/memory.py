"""Claims of evaluate: one row group of predictions, one date, and a row of numbers per date."""

from collections.abc import Mapping
from typing import Any

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.evaluate.config import EvaluateConfig
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

PAGE_BYTES = 4 * KIB
"""Smallest piece of a mapped file the kernel reads and keeps."""

SCIPY_BYTES = 16 * MIB
"""scipy.special imported (15 MiB measured)."""

DAILY_TABLE_BYTES = 8 * MIB
"""20,000 dates of 160 B, grown by halves, and written."""

BAND_BYTES = 65_536 * 40
"""Blocks of dates drawn at once for a band (metrics/bootstrap.py), their ends, their sums and the difference."""

EARLIER_NAME_BYTES = 8 * 20 + 32
"""A name in the scores of the last 20 dates."""

_NUM_PREDICTION_COLUMNS = 5
_DATE_ROW_BYTES = 160
"""Per name of a date: row, targets and predictions as float64, their ranks, order and groups."""


def plan(
    config: EvaluateConfig, shape: PanelShape, budget_bytes: int, *, num_paths: int = 1, num_targets: int = 1
) -> StagePlan:
    """Plan evaluate. It has no knobs: the claims are the same for any budget, and grow with dates and names of a date.

    Parameters
    ----------
    shape
        Sizes of the panel; every date of it may hold predictions.
    budget_bytes
        What the stage may use in all; changes nothing here.
    num_paths
        Times that each date is predicted.
    num_targets
        Targets that are predicted: they are judged one after another, each with files of its own.
    """
    num_row_groups = num_paths * -(-shape.num_rows // ROW_GROUP_ROWS)
    num_tables = num_paths + 2 if num_paths > 1 else 1
    num_columns = _NUM_PREDICTION_COLUMNS - 1 + num_targets
    daily_bytes = _daily_row_bytes(config)
    earlier_bytes = _earlier_bytes(config, shape.num_entities)
    return StagePlan(
        stage="evaluate",
        private=(
            Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow, scipy.special imported"),
            Claim("predictions", READER_BYTES, f"one row group of {ROW_GROUP_ROWS:,} rows and its reader"),
            Claim(
                "parquet footer",
                num_row_groups * num_columns * FOOTER_CHUNK_BYTES,
                f"{num_row_groups:,} row groups x {num_columns} columns x 4 KiB",
            ),
            Claim(
                "one date",
                shape.max_rows_per_date * _DATE_ROW_BYTES,
                f"{shape.max_rows_per_date:,} names of the largest date x {_DATE_ROW_BYTES} B",
            ),
            Claim(
                "scores of earlier dates",
                earlier_bytes,
                f"{shape.num_entities:,} names x 8 B x {max(config.decay_lags, default=0)} dates, and 32 B of ranks",
            ),
            Claim("bands", BAND_BYTES, "65,536 blocks of dates drawn at once x 40 B, at the end"),
            Claim(
                "daily table",
                3 * num_tables * shape.num_dates * daily_bytes,
                f"{shape.num_dates:,} dates x {daily_bytes} B x 3 (kept, copied and encoded while written)"
                + (f" x {num_tables} ({num_paths} paths, their mean, a copy)" if num_paths > 1 else ""),
            ),
        ),
        cache=(
            *container_claims(),
            Claim(
                "panel pages",
                _panel_page_bytes(shape),
                f"one 4 KiB page per entity ({shape.num_entities:,}) and file, so that each is read from disk once",
            ),
        ),
        disk=(
            Claim(
                "daily.parquet",
                num_targets * num_tables * shape.num_dates * daily_bytes,
                f"{shape.num_dates:,} dates x {daily_bytes} B"
                + (f" x {num_tables}" if num_paths > 1 else "")
                + (f" x {num_targets} targets" if num_targets > 1 else ""),
            ),
            Claim("metrics.json", MIB, "some KiB per fold"),
        ),
    )


def plan_tables(found: Mapping[str, Any], budget_bytes: int) -> StagePlan:
    """Plan to judge outside predictions: the row buffer takes what the fixed parts leave.

    Parameters
    ----------
    found
        Sizes of ``predictions``, and of ``returns`` where there are any (tables/look.py).
    budget_bytes
        What the child may use in all.
    """
    sides = tuple(found.values())
    num_entities, num_rows = max(side["entities"] for side in sides), found["predictions"]["rows"]
    largest_date = Claim(
        "one date, and the daily table",
        SCIPY_BYTES + num_entities * (_DATE_ROW_BYTES + EARLIER_NAME_BYTES) + DAILY_TABLE_BYTES,
        f"scipy.special, {num_entities:,} names x {_DATE_ROW_BYTES + EARLIER_NAME_BYTES} B, and up to 20,000 dates",
    )
    fixed, cache = fewest_claims(sides, largest_date), table_cache_claims()
    rows, buffer_rows = rows_claim(sides, budget_bytes - sum(claim.bytes for claim in (*fixed, *cache)))
    return StagePlan(
        stage="evaluate",
        private=(*fixed, rows),
        cache=cache,
        disk=(runs_claim(sides), Claim("metrics", MIB, f"numbers of each date of {num_rows:,} rows")),
        neutral={"buffer_rows": buffer_rows},
    )


def _daily_row_bytes(config: EvaluateConfig) -> int:
    """Time, fold, counts, six numbers, and a number for each quantile and lag."""
    return 72 + 8 * (config.num_quantiles + len(config.decay_lags))


def _earlier_bytes(config: EvaluateConfig, num_entities: int) -> int:
    """Scores of as many dates as the longest lag, and ranks and marks of the date before and of this one."""
    return num_entities * (8 * max(config.decay_lags, default=0) + 32)


def _panel_page_bytes(shape: PanelShape) -> int:
    """Pages of time index and returns that successive dates share; no more than the files have."""
    widths = (4, 8 * shape.num_targets)
    return sum(min(shape.num_entities * PAGE_BYTES, shape.num_rows * width) for width in widths)
