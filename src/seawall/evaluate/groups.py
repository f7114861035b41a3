"""Groups of names by a static attribute: sector, exchange, basin."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import Int64
from seawall.errors import ConfigError, nearest
from seawall.evaluate.config import MAX_GROUPS
from seawall.stores.panel import Panel

WITHOUT = "(none)"
"""Label of the names that have no value of the attribute."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The group of each entity of a panel, and what the groups are called."""

    labels: tuple[str, ...] = ()
    of_entity: Int64 | None = None

    @classmethod
    def of(cls, panel: Panel, attribute: str | None) -> "Groups":
        """Group the entities of a panel by an attribute; no groups where it is None.

        Raises
        ------
        ConfigError
            For an unknown attribute, or one of more than 32 values.
        """
        if attribute is None:
            return cls()
        table = panel.attributes
        names = [name for name in table.schema.names if name != "entity"]
        if attribute not in names:
            do = nearest(attribute, names) if names else "Give ingest.static a table with it."
            raise ConfigError("evaluate.group", "the panel has no such attribute", found=repr(attribute), do=do)
        values = [WITHOUT if value is None else str(value) for value in table[attribute].to_pylist()]
        labels, groups = np.unique(np.array(values, object).astype(str), return_inverse=True)
        if len(labels) > MAX_GROUPS:
            what, do = f"{attribute} splits the names too finely", "Name an attribute of fewer values."
            raise ConfigError("evaluate.group", what, found=f"{len(labels):,} groups", allowed=f"{MAX_GROUPS}", do=do)
        return cls(tuple(labels.tolist()), groups.astype(np.int64))


NO_GROUPS = Groups()
