"""Static attributes of an ingest: read, held against the entities there are, and counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seawall.arrays import Int64
from seawall.errors import ConfigError, DataError, nearest
from seawall.ingest.config import IngestConfig, StaticTable
from seawall.tables.attributes import read_attributes

MAX_LISTED = 20


def group_codes(config: IngestConfig, attributes: pa.Table | None, names: list[str]) -> dict[str, Int64]:
    """Code the values of the static attributes that names are compared within; -1 for entities that have none.

    Raises
    ------
    ConfigError
        For a group that is neither a feature nor a static attribute.
    """
    codes: dict[str, Int64] = {}
    known = [] if attributes is None else [name for name in attributes.column_names if name != "entity"]
    for name, rule in config.cross_sectional.items():
        if rule.group is None or rule.group in config.feature_names:
            continue
        if attributes is None or rule.group not in known:
            where = f"ingest.cross_sectional: {name}"
            raise ConfigError(
                where, "no such feature or attribute", found=repr(rule.group), do=nearest(rule.group, known)
            )
        texts = [None if value is None else str(value) for value in attributes[rule.group].to_pylist()]
        of_entity = dict(zip(attributes["entity"].to_pylist(), texts, strict=True))
        number = {text: place for place, text in enumerate(sorted({text for text in texts if text is not None}))}
        codes[rule.group] = np.array([number.get(of_entity.get(entity) or "", -1) for entity in names], np.int64)
    return codes


def attributes_of(config: IngestConfig, static: StaticTable, names: list[str]) -> tuple[pa.Table, dict[str, Any]]:
    """Read the static attributes, and tell which entities have none.

    Raises
    ------
    DataError
        Where not one entity of the panel is in the static table: the two write names in different ways.
    """
    own = config.layout.model_copy(update={"format": "auto", "columns": (), "wide": None, "entity_from_file": None})
    table = read_attributes(Path(static.source), static.entity or config.entity, static.columns, own)
    known = set(table["entity"].to_pylist())
    without = [name for name in names if name not in known]
    if len(without) == len(names):
        first = next(iter(sorted(known)), "nothing")
        raise DataError(
            f"source {static.source}",
            "no entity of the panel is in the static table",
            found=f"{first!r} there and {names[0]!r} in the panel",
            do="Name the column that holds the entity, with the same spelling.",
        )
    return table, {
        "num_columns": table.num_columns - 1,
        "num_entities": len(names) - len(without),
        "num_unused": len(known - set(names)),
        "without": without[:MAX_LISTED],
    }
