"""How many earlier rows of its entity an SQL expression reads: found in DuckDB's own parse of it, never guessed."""

from collections.abc import Mapping

from seawall.errors import ConfigError
from seawall.tables.expressions import Expressions, Node, arguments

ENTITY = "__entity"

_FRAMED = ("WINDOW_AGGREGATE", "WINDOW_FIRST_VALUE", "WINDOW_LAST_VALUE", "WINDOW_NTH_VALUE")
"""Window functions that see their frame and nothing else."""

_SHIFTED = ("WINDOW_LAG", "WINDOW_LEAD")


def rows_back(expressions: Mapping[str, str], derived: Mapping[str, str], window: str) -> dict[str, int | None]:
    """Count the rows before its own that each expression can read, helper columns followed.

    Parameters
    ----------
    derived
        Helper columns the expressions may name.
    window
        The WINDOW clause.

    Returns
    -------
    dict
        By name of the expression; None where it has no bound: a frame from the start, RANGE and GROUPS frames, ranks,
        IGNORE NULLS, bounds that are not plain numbers, subqueries, and text that does not parse.
    """
    if not expressions:
        return {}
    parser = Expressions(window)
    try:
        helpers = {name.casefold(): _parsed(parser, text) for name, text in derived.items()}
        reach = _Reach(helpers)
        return {name: reach.of(_parsed(parser, text)) for name, text in expressions.items()}
    finally:
        parser.close()


def _parsed(parser: Expressions, text: str) -> Node | None:
    try:
        return parser.parse(text, where="expression")
    except ConfigError:  # said better where expressions are checked; here it has no bound
        return None


class _Reach:
    """Walks a parse; None is without bound and swallows everything."""

    def __init__(self, helpers: Mapping[str, Node | None]) -> None:
        self._helpers = helpers
        self._known: dict[str, int | None] = {}

    def of(self, node: object) -> int | None:
        if node is None:
            return None
        if isinstance(node, list):
            return self._widest([self.of(item) for item in node])
        if not isinstance(node, dict):
            return 0
        if node.get("class") == "SUBQUERY":
            return None
        if node.get("class") == "COLUMN_REF":
            return self._of_column(str(node["column_names"][-1]).casefold())
        if node.get("class") != "WINDOW":
            return self.of([value for value in node.values() if value is not None])
        own = _of_window(node)
        inner = self.of(
            [value for key, value in node.items() if key not in ("partitions", "orders") and value is not None]
        )
        return None if own is None or inner is None else own + inner

    def _of_column(self, name: str) -> int | None:
        if name not in self._helpers:
            return 0
        if name not in self._known:
            self._known[name] = None  # a helper that names itself has no bound
            self._known[name] = self.of(self._helpers[name])
        return self._known[name]

    @staticmethod
    def _widest(found: list[int | None]) -> int | None:
        bounded = [count for count in found if count is not None]
        return max(bounded, default=0) if len(bounded) == len(found) else None


def _of_window(node: Node) -> int | None:
    """Count the rows before its own that a window call reads, its arguments taken as columns."""
    if node.get("ignore_nulls") or not _is_own_entity(node.get("partitions")):
        return None
    if node["type"] in _SHIFTED:
        given = arguments(node)
        return 1 if len(given) < 2 else _number(given[1])
    if node["type"] not in _FRAMED:
        return None
    start = str(node.get("start"))
    if start == "EXPR_PRECEDING_ROWS":
        return _number(node.get("start_expr"))
    return 0 if start in ("CURRENT_ROW_ROWS", "CURRENT_ROW_RANGE", "EXPR_FOLLOWING_ROWS") else None


def _is_own_entity(partitions: object) -> bool:
    names = [part.get("column_names") for part in partitions] if isinstance(partitions, list) else []
    return names == [[ENTITY]]


def _number(node: object) -> int | None:
    """Read a plain non-negative integer."""
    literal = node.get("literal") if isinstance(node, dict) and node.get("class") == "CONSTANT" else None
    text = str(literal.get("text", "")) if isinstance(literal, dict) else ""
    return int(text) if text.isascii() and text.isdigit() else None
