"""Refuse, by what they are, expressions that can look ahead or at other entities: before a row is read.

What passes here is checked again on the data (:mod:`seawall.ingest.causality`): taking later rows away moves nothing.
"""

from collections.abc import Iterator

from seawall.errors import ConfigError
from seawall.ingest.bucket import WINDOW
from seawall.ingest.config import IngestConfig
from seawall.ingest.recipe import plain_features
from seawall.ingest.record import uses_sql
from seawall.ingest.unread import refuse_unread
from seawall.tables.expressions import Expressions, Functions, Node, arguments, walk

AHEAD = "the expression looks ahead"
ELSEWHERE = "the expression reads other entities"
OTHER_ROWS = "the expression reads other rows"
UNSTEADY = "the expression is not the same twice"

WHOLE_PARTITION = {"percent_rank", "cume_dist", "ntile", "fill"}
"""Window functions that need the last row of the partition, whatever the frame."""

Fault = tuple[str, str]


def check_expressions(config: IngestConfig) -> None:
    """Check every expression of a config.

    Raises
    ------
    ConfigError
        Naming the expression, and what in it looks ahead, or the column that is not read.
    """
    if not uses_sql(config):
        return
    parser = Expressions(WINDOW)
    try:
        functions = parser.functions()
        for where, text in _expressions(config):
            for fault, found in faults(parser.parse(text, where=where), functions, config.time):
                raise ConfigError(
                    where, fault, found=found, do="Use LAG and frames that end at CURRENT ROW over entity."
                )
        for where, text in _target_expressions(config):
            for fault, found in faults(parser.parse(text, where=where), functions, config.time):
                if fault != AHEAD:  # how far it may is declared, and tried on the data
                    raise ConfigError(where, fault, found=found, do="Use windows over entity.")
        for name, text in config.drop_rows.items():
            where = f"ingest.drop_rows: {name}"
            if any(_reads_rows(node, functions) for node in walk(parser.parse(text, where=where))):
                raise ConfigError(
                    where,
                    "the rule looks at other rows",
                    found="a window, an aggregate or a subquery",
                    do="Use the columns of the row itself, without windows or aggregates.",
                )
        refuse_unread(parser, config)
    finally:
        parser.close()


def _expressions(config: IngestConfig) -> Iterator[tuple[str, str]]:
    """Give the expressions that may not look ahead; a column as it is reads no other row."""
    plain = plain_features(config)
    for name, text in config.derived.items():
        yield f"ingest.derived: {name}", text
    for name, text in config.features.items():
        if name not in plain:
            yield f"ingest.features: {name}", text
    if config.universe:
        yield "ingest.features: universe", config.universe


def _target_expressions(config: IngestConfig) -> list[tuple[str, str]]:
    own = {name: target.expression for name, target in config.targets.items()}
    return [(f"ingest.targets: {name}", told.sql) for name, told in own.items() if told is not None]


def faults(tree: Node, functions: Functions, time: str) -> Iterator[Fault]:
    """Give what in an expression may depend on anything but this entity's rows up to this one."""
    for node in walk(tree):
        if node["class"] == "SUBQUERY":
            yield OTHER_ROWS, "a subquery"
        elif node["class"] == "STAR":
            yield OTHER_ROWS, "*, which names no single column"
        elif node["class"] == "WINDOW":
            yield from _window_faults(node, time)
        elif node["class"] == "FUNCTION":
            yield from _function_faults(node, functions)


def _reads_rows(node: Node, functions: Functions) -> bool:
    return node["class"] in ("SUBQUERY", "WINDOW", "STAR") or any(
        fault == OTHER_ROWS for fault, _ in (_function_faults(node, functions) if node["class"] == "FUNCTION" else ())
    )


def _function_faults(node: Node, functions: Functions) -> Iterator[Fault]:
    name = str(node.get("function_name", "")).lower()
    if name in functions.aggregates:
        yield OTHER_ROWS, f"{name}() without OVER, which takes in every row"
    if name in functions.volatile:
        yield UNSTEADY, f"{name}()"


def _window_faults(node: Node, time: str) -> Iterator[Fault]:
    name = str(node.get("function_name", "")).lower()
    if [_column(part) for part in node.get("partitions", [])] != ["__entity"]:
        yield ELSEWHERE, f"{name}() over a window that is not PARTITION BY __entity"
    if name == "lead":
        yield AHEAD, "lead()"
    if name in WHOLE_PARTITION:
        yield AHEAD, f"{name}(), which needs the entity's last row"
    if name == "lag":
        yield from _lag_faults(node)
    yield from _order_faults(node, name, time)
    yield from _frame_faults(node, name)


def _order_faults(node: Node, name: str, time: str) -> Iterator[Fault]:
    orders = node.get("orders", [])
    if not orders:
        yield AHEAD, f"{name}() over a window without ORDER BY, which is the entity's whole history"
        return
    if str(orders[0].get("type", "")).startswith("DESC"):
        yield AHEAD, f"{name}() over a window with ORDER BY ... DESC"
    elif _column(orders[0].get("expression", {})) not in ("__time", time.casefold()):
        yield AHEAD, f"{name}() over a window that is not ordered by time"


def _frame_faults(node: Node, name: str) -> Iterator[Fault]:
    for end in ("start", "end"):
        if "FOLLOWING" in str(node.get(end, "")):
            yield AHEAD, f"{name}() over a frame with FOLLOWING"
        bound = node.get(f"{end}_expr")
        if bound and any(_is_negative(part) or part["class"] == "COLUMN_REF" for part in walk(bound)):
            yield AHEAD, f"{name}() over a frame whose bound is not a plain number of rows or span of time"


def _lag_faults(node: Node) -> Iterator[Fault]:
    given = arguments(node)
    if len(given) < 2:
        return
    offset = str(given[1].get("literal", {}).get("text", "")) if given[1].get("class") == "CONSTANT" else ""
    offset = offset or str(given[1].get("value", {}).get("value", "") if given[1].get("class") == "CONSTANT" else "")
    if not offset.isdecimal():
        yield AHEAD, f"lag() by {offset or 'an expression'}, where only a plain number of rows is certain to look back"


def _is_negative(node: Node) -> bool:
    if node["class"] == "CONSTANT":
        literal = node.get("literal", {}).get("text", node.get("value", {}).get("value", ""))
        return str(literal).startswith("-")
    return node["class"] == "FUNCTION" and node.get("function_name") in ("-", "subtract")


def _column(node: Node) -> str:
    """Name a column, without its table; empty for anything else."""
    names = node.get("column_names", [])
    return str(names[-1]).casefold() if node.get("class") == "COLUMN_REF" and names else ""
