"""Claims of the look at tables: libraries, the first rows of a table, keys and a price of the rows read."""

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.units import MIB

LOOK_ROWS = 1_000_000
"""Rows read at most (``MOST_ROWS`` of :mod:`seawall.tables.survey`, which the parent cannot import)."""

ROW_BYTES = 40
"""A row's keys and price while they are read, joined and sorted."""

FEWEST_FILE_BYTES = 4
"""A row takes more than this even in a packed file."""


def most_rows(file_bytes: int) -> int:
    """Bound the rows that files of so many bytes can give to the look."""
    return min(LOOK_ROWS, file_bytes // FEWEST_FILE_BYTES)


def look_plan(num_rows: int) -> StagePlan:
    """Plan the look for so many rows; the child plans it again once it has counted them."""
    return StagePlan(
        stage="look at tables",
        private=(
            Claim("interpreter and libraries", 50 * MIB, "Python, NumPy, pyarrow, the models of the config"),
            Claim("first rows and parser", 26 * MIB, "half a MiB of text or 4,096 rows with all columns, as texts"),
            Claim("keys", ROW_BYTES * num_rows, f"{ROW_BYTES} B for each of {num_rows:,} rows"),
        ),
        cache=container_claims(dirty_bytes=MIB),
    )
