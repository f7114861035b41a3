"""Claims of the report: libraries, chart classes, slices of the chart library, and the series it draws."""

from collections.abc import Sequence

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.units import KIB, MIB

LIBRARY_BYTES = 48 * MIB
"""Fresh interpreter with seawall, NumPy, pyarrow's Parquet, YAML and Plotly imported (34 MiB measured), and what its
heap keeps between charts: the demo's peak was seen 14 MiB apart from run to run."""

CHART_CLASSES_BYTES = 14 * MIB
"""Plotly loads a class for every kind of trace and setting when it is first used (11-12 MiB measured)."""

CHART_LIBRARY_BYTES = 4 * MIB
"""plotly.js is hashed and copied in slices of 64 KiB; with it the page's pieces as UTF-8 (under 2 MiB measured)."""

PAGE_BYTES = 6 * MIB
"""The page is held below 6 MB, of which plotly.js is 4.8; what is built beside it is held twice at most."""

SERIES_BYTES_PER_DATE = 44
"""Time, equity, two returns at 8 B each, and what computing one chart line needs (32 B measured)."""

LIBRARY_TEXT_BYTES = 56 * MIB
"""Code pages of Python, NumPy and pyarrow, and of scipy.special where runs are compared (44 and 51 MiB measured)."""

SCIPY_BYTES = 16 * MIB
"""scipy.special, for the p values of paired differences (11-14 MiB measured)."""

RUN_BYTES = 2 * MIB
"""Records of one run, its memory timeline of 4,000 points among them."""

FOLD_BYTES = 64 * KIB
"""Records, table rows and the training chart of one fold."""


def plan(num_dates: int, num_folds: int, num_strategies: int, budget_bytes: int) -> StagePlan:
    """Plan the report.

    Parameters
    ----------
    num_dates
        Dates of the panel, an upper bound of those that are tested and traded.
    budget_bytes
        What the stage may use in all. The report has no knob to turn: either the claims fit, or they do not.
    """
    series_bytes = SERIES_BYTES_PER_DATE * num_dates * (num_strategies + 1)
    return StagePlan(
        stage="report",
        private=(
            Claim("interpreter and libraries", LIBRARY_BYTES, "Python, NumPy, pyarrow, Plotly imported"),
            Claim("chart classes", CHART_CLASSES_BYTES, "Plotly's classes of the traces that are drawn"),
            Claim("chart library", CHART_LIBRARY_BYTES, "slices of plotly.js, and a section as UTF-8"),
            Claim("page", PAGE_BYTES, "figures and tables as text, or one batch of 2,048 memory samples before"),
            Claim(
                "series",
                series_bytes,
                f"{num_dates:,} dates x ({num_strategies} strategies + 1) x {SERIES_BYTES_PER_DATE} B",
            ),
            Claim("folds", FOLD_BYTES * num_folds, f"{num_folds:,} folds x 64 KiB of records and charts"),
        ),
        # The page is the one thing written, and it is flushed before it replaces the old one.
        cache=container_claims(dirty_bytes=PAGE_BYTES, library_text_bytes=LIBRARY_TEXT_BYTES),
        disk=(Claim("page", 2 * PAGE_BYTES, "the old page and the new one beside it"),),
    )


def plan_comparison(num_dates: Sequence[int], budget_bytes: int) -> StagePlan:
    """Plan the comparison of runs.

    Parameters
    ----------
    num_dates
        Test dates of each run.
    budget_bytes
        What the stage may use in all; there is no knob to turn.
    """
    one, dates = plan(0, 0, 0, budget_bytes), sum(num_dates)
    fixed = tuple(claim for claim in one.private if claim.purpose not in ("series", "folds"))
    more = (
        Claim("p values", SCIPY_BYTES, "scipy.special, Student t"),
        Claim("series", 2 * SERIES_BYTES_PER_DATE * dates, f"{dates:,} dates x 2 x {SERIES_BYTES_PER_DATE} B"),
        Claim("runs", RUN_BYTES * len(num_dates), f"{len(num_dates):,} runs x 2 MiB of records"),
    )
    return StagePlan(stage="report", private=(*fixed, *more), cache=one.cache, disk=one.disk)
