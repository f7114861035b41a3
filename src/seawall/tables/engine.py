"""SQL over one bucket: a fenced DuckDB connection with no files, no settings and an absolute memory limit."""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa

from seawall.arrays import Float64, Int64
from seawall.errors import BudgetError, ConfigError
from seawall.units import MIB

if TYPE_CHECKING:  # loaded with the first expression: what has none is spared 16 MiB, and 35 of code pages
    import duckdb

MINIMUM_LIMIT_BYTES = 48 * MIB
RESULT_BYTES = 2 * MIB
"""Results fetched at once, whatever the number of expressions."""

VECTOR_ROWS = 2048
"""Rows DuckDB hands on at once; fetching fewer saves nothing."""


def limit_for_share(share_bytes: int) -> int:
    """Turn a private share into DuckDB's ``memory_limit``: it overshoots by 64 MB and a tenth (57 runs measured)."""
    return max(MINIMUM_LIMIT_BYTES, int((share_bytes - 64 * MIB) / 1.1))


def quoted(name: str) -> str:
    """Quote any text as one SQL identifier."""
    return '"' + name.replace('"', '""').replace("\0", "") + '"'


class SqlEngine:
    """One in-memory DuckDB, one thread, no access to files or settings; started with the first expression.

    Parameters
    ----------
    limit_bytes
        DuckDB's ``memory_limit``, absolute.
    temporary
        Folder on a real disk it may spill to.
    """

    def __init__(self, limit_bytes: int, temporary: Path) -> None:
        self._limit_bytes, self._temporary = limit_bytes, temporary

    @cached_property
    def _connection(self) -> "duckdb.DuckDBPyConnection":
        import duckdb

        connection = duckdb.connect(
            config={
                "memory_limit": f"{self._limit_bytes}B",
                "threads": "1",
                "temp_directory": str(self._temporary),
                "preserve_insertion_order": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "allow_community_extensions": "false",
            }
        )
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it is printed into the standard output
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return connection

    def evaluate(
        self,
        table: pa.Table,
        expressions: Mapping[str, str],
        *,
        derived: Mapping[str, str] | None = None,
        window: str = "",
        where: str,
    ) -> Float64:
        """Evaluate SQL expressions for every row of a table.

        Parameters
        ----------
        table
            Rows with an integer column ``__id`` counting 0 .. n-1 and ``__entity``, ``__time``.
        expressions
            Name and SQL text, which may use ``OVER entity`` where ``window`` declares it.
        derived
            Helper columns computed first, which the expressions may use like columns of the table.
        window
            The WINDOW clause, or empty.

        Returns
        -------
        float64 [n, len(expressions)]
            In the order of ``__id``; NULL is NaN, infinite results stay.

        Raises
        ------
        ConfigError
            Naming the expression that does not parse or run.
        """
        import duckdb

        source = _with_derived(derived or {}, window)
        columns = ", ".join(_as_double(name, text) for name, text in expressions.items())
        out: Float64 = np.full((table.num_rows, len(expressions)), np.nan)
        rows_per_fetch = max(VECTOR_ROWS, RESULT_BYTES // (8 * (1 + len(expressions))))
        self._connection.register("rows", table)
        try:
            reader = self._connection.sql(f"SELECT __id, {columns} FROM {source} {window}").to_arrow_reader(
                rows_per_fetch
            )
            for batch in reader:
                ids: Int64 = batch.column(0).to_numpy()
                for place in range(len(expressions)):
                    out[ids, place] = batch.column(place + 1).fill_null(np.nan).to_numpy(zero_copy_only=False)
        except duckdb.OutOfMemoryException as error:
            raise BudgetError(
                where,
                "the SQL expressions of one bucket do not fit",
                found=_first_line(error),
                do="Declare more --memory.",
            ) from error
        except (duckdb.Error, OSError) as error:  # a failure while results stream comes as Arrow's OSError
            raise self._blame(table, {**(derived or {}), **expressions}, source, window, where) or ConfigError(
                where, "an SQL expression fails on the data", found=_first_line(error)
            ) from error
        finally:
            self._connection.unregister("rows")
        return out

    def _blame(
        self, table: pa.Table, expressions: Mapping[str, str], source: str, window: str, where: str
    ) -> ConfigError | None:
        """Find the first expression that fails alone; helpers are tried on the bare table."""
        import duckdb

        self._connection.register("rows", table)
        for name, text in expressions.items():
            for place in ("rows", source):
                try:
                    self._connection.sql(f"SELECT __id, {_as_double(name, text)} FROM {place} {window}").fetchall()
                    break
                except duckdb.Error as alone:
                    failure = ConfigError(
                        f"{where}: {name}", "the SQL expression fails", found=_first_line(alone), do=_hint(alone)
                    )
            else:
                return failure
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "_connection" in self.__dict__:
            self._connection.close()


def _as_double(name: str, text: str) -> str:
    return f"CAST(({text}\n) AS DOUBLE) AS {quoted(name)}"  # the line break ends a comment in the text


def _with_derived(derived: Mapping[str, str], window: str) -> str:
    if not derived:
        return "rows"
    columns = ", ".join(_as_double(name, text) for name, text in derived.items())
    return f"(SELECT *, {columns} FROM rows {window})"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _hint(error: Exception) -> str:
    candidates = re.search(r"Candidate bindings: (.*)", str(error))
    return f"Known names: {candidates.group(1)}." if candidates else "Check the expression."
