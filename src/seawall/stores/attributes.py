"""The table of entities of a store: names, and the static attributes beside them."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from seawall.errors import FormatError


def entity_table(names: Sequence[str], attributes: pa.Table | None) -> pa.Table:
    """Give one row a name, in order, with the attributes of that entity; null where there are none.

    Parameters
    ----------
    attributes
        Columns ``entity`` (once each) and any others, or None.
    """
    table = pa.table({"entity": pa.array(names, pa.string())})
    if attributes is None:
        return table
    place = {name: number for number, name in enumerate(attributes["entity"].to_pylist())}
    rows = pa.array([place.get(name) for name in names], pa.int64())
    for column in attributes.schema.names:
        if column != "entity":
            table = table.append_column(column, attributes[column].take(rows))
    return table


def read_entity_tables(folders: Sequence[Path], names: Sequence[str]) -> pa.Table:
    """Read the attributes of entities over segments, oldest first: a newer segment's value stands where it has one.

    Memory is all attributes of the store.

    Raises
    ------
    FormatError
        Where a file cannot be read.
    """
    merged: dict[str, dict[str, object]] = {}
    fields: dict[str, pa.DataType] = {}
    for folder in folders:
        try:
            table = pq.ParquetFile(folder / "entities.parquet").read()
        except (OSError, pa.ArrowException) as error:
            found = str(error).splitlines()[0]
            raise FormatError(str(folder / "entities.parquet"), "cannot be read", found=found) from error
        owners = table["entity"].to_pylist()
        for field in table.schema:
            if field.name != "entity":
                fields[field.name] = field.type
                known = merged.setdefault(field.name, {})
                values = zip(owners, table[field.name].to_pylist(), strict=True)
                known.update((name, value) for name, value in values if value is not None)
    columns = {name: pa.array([merged[name].get(entity) for entity in names], kind) for name, kind in fields.items()}
    return pa.table({"entity": pa.array(names, pa.string()), **columns})
