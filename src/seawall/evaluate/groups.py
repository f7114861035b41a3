"""Groups of names by a static attribute, or by a column of a table: sector, exchange, basin."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Int64
from seawall.errors import ConfigError, nearest
from seawall.evaluate.config import MAX_GROUPS
from seawall.stores.panel import Panel
from seawall.tables.names import WITHOUT


@dataclass(frozen=True, slots=True)
class Groups:
    """What groups are called, and the group of each entity of a panel, or of each number of a table's column."""

    labels: tuple[str, ...] = ()
    of_number: Int64 | None = None

    def __call__(self, numbers: Int64) -> Int64 | None:
        """Give the group of each number; None where there are no groups."""
        return None if self.of_number is None else self.of_number[numbers]

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

    @classmethod
    def of_column(cls, labels: Sequence[str]) -> "Groups":
        """Group by the texts of a column, given in order of their numbers."""
        names = sorted(labels)
        return cls(tuple(names), np.array([names.index(label) for label in labels], np.int64))


NO_GROUPS = Groups()
