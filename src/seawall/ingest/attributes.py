"""Static attributes of an ingest: read, held against the entities there are, and counted."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from seawall.errors import DataError
from seawall.ingest.config import IngestConfig, StaticTable
from seawall.tables.attributes import read_attributes

MAX_LISTED = 20


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
