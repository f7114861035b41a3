"""SQL expressions as trees, parsed by DuckDB itself, so that what is checked is what runs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seawall.errors import ConfigError

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Functions:
    """Names of the functions that are no plain function of one row."""

    aggregates: frozenset[str]
    volatile: frozenset[str]


class Expressions:
    """Parse expressions with one small connection that reads nothing."""

    def __init__(self, window: str) -> None:
        import duckdb

        self._connection = duckdb.connect(config={"threads": "1", "autoload_known_extensions": "false"})
        self._window = window

    def functions(self) -> Functions:
        """Sort DuckDB's functions by what they read."""
        found = self._connection.execute(
            "SELECT lower(function_name), bool_and(function_type = 'aggregate'),"
            " bool_or(stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')) FROM duckdb_functions() GROUP BY 1"
        ).fetchall()
        return Functions(
            frozenset(name for name, is_aggregate, _ in found if is_aggregate),
            frozenset(name for name, _, is_volatile in found if is_volatile),
        )

    def parse(self, text: str, *, where: str) -> Node:
        """Parse one expression.

        Raises
        ------
        ConfigError
            Where the text does not parse, or is more than one expression.
        """
        import duckdb

        query = f"SELECT CAST(({text}\n) AS DOUBLE) FROM rows {self._window}"
        try:
            row = self._connection.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
        except duckdb.Error as error:
            raise _does_not_parse(where, str(error)) from error
        tree: Node = json.loads(row[0]) if row else {"error": True}
        if tree.get("error"):
            raise _does_not_parse(where, str(tree.get("error_message", "")))
        statements = tree.get("statements", [])
        selected: list[Node] = statements[0]["node"].get("select_list", []) if len(statements) == 1 else []
        if len(selected) != 1 or selected[0].get("class") != "CAST":
            raise ConfigError(
                where, "one SQL expression is expected", found=repr(text[:80]), do="Write one value a row."
            )
        return selected[0]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _does_not_parse(where: str, reason: str) -> ConfigError:
    found = f"Parser Error: {reason.strip().splitlines()[0]}" if reason.strip() else ""
    return ConfigError(where, "the SQL expression fails", found=found, do="Check the expression.")


def walk(node: object) -> Iterator[Node]:
    """Give every node of a tree, parents first."""
    if isinstance(node, dict):
        if "class" in node:
            yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def arguments(node: Node) -> list[Node]:
    """List the arguments of a function or window, whichever release wrote the tree."""
    found = [part.get("expression", part) for part in node.get("arguments", [])] or list(node.get("children", []))
    found += [node[key] for key in ("offset_expr", "default_expr") if node.get(key)]
    return found
