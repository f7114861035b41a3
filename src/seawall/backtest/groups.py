"""Groups of names a strategy is neutral within: a static attribute, or a column that may change from date to date."""

import numpy as np

from seawall.arrays import Int64
from seawall.backtest.costs import attribute_texts
from seawall.errors import ConfigError, nearest
from seawall.stores.panel import Panel


class Groups:
    """Number the group of each name on a date. Memory is 8 bytes an entity, or one date.

    A static attribute of that name goes before a value column. Of a column the values of the decision date count, so
    that a name that changes its sector changes its group from then on. Names without a value are a group of their own.

    Raises
    ------
    ConfigError
        Where the panel has neither, naming the nearest of both.
    """

    def __init__(self, panel: Panel, name: str) -> None:
        attributes, columns = (
            [text for text in panel.attributes.schema.names if text != "entity"],
            panel.names("values"),
        )
        if name not in (*attributes, *columns):
            what = "the panel has no such static attribute or value column"
            raise ConfigError("neutral_within", what, found=repr(name), do=nearest(name, [*attributes, *columns]))
        self._codes_E: Int64 | None = None
        self._panel, self._column = panel, 0
        if name in attributes:
            texts = np.array(attribute_texts(panel, name, "neutral_within"))
            self._codes_E = np.unique(texts, return_inverse=True)[1].astype(np.int64)
        else:
            self._column = panel.column_index("values", name)
            panel.advise_random("values")

    def of(self, rows: Int64, entities: Int64) -> Int64:
        """Give int64 [n] for rows of one date and their entities."""
        if self._codes_E is not None:
            return self._codes_E[entities]
        values = self._panel.values[rows, self._column]
        return np.unique(values, return_inverse=True)[1].astype(np.int64)
