"""Refuse expressions that name a column nobody reads: before a row is read, and saying what to do."""

from collections.abc import Iterator, Mapping

from seawall.errors import ConfigError, nearest
from seawall.ingest.config import IngestConfig
from seawall.ingest.recipe import plain_features
from seawall.tables.expressions import Expressions, Node, walk

ALWAYS = ("adjustment", "__id", "__entity", "__time")
"""Columns that every table has which expressions see."""

VALUES = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
"""Names that SQL takes for a value where no column has them."""


def refuse_unread(parser: Expressions, config: IngestConfig) -> None:
    """Raise for the first expression that names a column which is not read and which no expression before it makes.

    Raises
    ------
    ConfigError
        Naming the expression, the column, and what to add.
    """
    prices = (f"adj_{name}" for name in config.prices)
    read = {name.casefold() for name in (*config.value_columns, *prices, *ALWAYS, config.time)} | VALUES
    plain = plain_features(config)
    computed = {name: text for name, text in config.features.items() if name not in plain}
    universe = {"universe": config.universe} if config.universe else {}
    own = {name: target.expression.sql for name, target in config.targets.items() if target.expression is not None}
    for where, texts, known in (
        ("ingest.derived", config.derived, read),
        ("ingest.features", computed | universe, read | {name.casefold() for name in config.derived}),
        ("ingest.targets", own, read | {name.casefold() for name in config.derived}),
        ("ingest.drop_rows", config.drop_rows, read),
    ):
        _refuse(parser, where, texts, known)


def _refuse(parser: Expressions, where: str, texts: Mapping[str, str], known: set[str]) -> None:
    """Check expressions that are computed together: each may use those before it by their names."""
    for name, text in texts.items():
        place = f"{where}: {name}"
        for column in _columns(parser.parse(text, where=place)):
            if column.casefold() in known:
                continue
            shown = sorted(one for one in known - VALUES if not one.startswith("__"))
            raise ConfigError(
                place,
                "the expression names a column that is not read",
                found=repr(column),
                do=f"If the sources have it, add it to ingest.values: [{column}]; else {nearest(column, shown)}",
            )
        known = known | {name.casefold()}


def _columns(tree: Node) -> Iterator[str]:
    """Give the names an expression takes for columns; those of its own lambdas, and of a table, are let through."""
    nodes = list(walk(tree))
    own = {name.casefold() for node in nodes if node["class"] == "LAMBDA" for name in _names(node.get("lhs"))}
    for node in nodes:
        names = node.get("column_names", [])
        if node["class"] == "COLUMN_REF" and len(names) == 1 and names[0].casefold() not in own:
            yield str(names[0])


def _names(node: object) -> Iterator[str]:
    for part in walk(node):
        yield from map(str, part.get("column_names", []))
