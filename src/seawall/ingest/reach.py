"""How far back the features of a config read: what an append must have beside new rows."""

from seawall.ingest.bucket import UNIVERSE, WINDOW
from seawall.ingest.config import IngestConfig
from seawall.ingest.recipe import plain_features
from seawall.tables.reach import rows_back


def features_back(config: IngestConfig) -> int | None:
    """Count the earlier rows of its entity that features, universe and targets of a row read; None without bound."""
    found = _rows_back(config).values()
    bounded = [count for count in found if count is not None]
    return max([*bounded, config.history_periods]) if len(bounded) == len(found) else None


def without_bound(config: IngestConfig) -> list[str]:
    """Name the expressions that may read all earlier rows of their entity."""
    return [name for name, count in _rows_back(config).items() if count is None]


def _rows_back(config: IngestConfig) -> dict[str, int | None]:
    plain = plain_features(config)  # a column as it is reads no other row
    expressions = {name: text for name, text in config.features.items() if name not in plain}
    expressions |= {UNIVERSE: config.universe} if config.universe else {}
    own = {name: target.expression for name, target in config.targets.items()}
    expressions |= {f"target {name}": expression.sql for name, expression in own.items() if expression is not None}
    return rows_back(expressions, config.derived, WINDOW)
