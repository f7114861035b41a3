"""Which columns of the sources hold numbers, for an ingest that names no features."""

from seawall.errors import DataError
from seawall.ingest.config import IngestConfig
from seawall.ingest.sources import source_files
from seawall.tables.sample import sample_tables
from seawall.tables.table import Table, open_tables


def number_columns(config: IngestConfig) -> list[str]:
    """List the number columns of the first source, keys left out; CSV types come from its first MiB.

    Raises
    ------
    DataError
        Where a file cannot be parsed, no column holds numbers, or a later file has other columns.
    """
    tables = open_tables(source_files(config.sources), config.layout, config.entity, config.time)
    tables[0].require([])
    first = tables[0].number_columns()
    if not first:
        sample_tables(tables[:1])  # which says where there is no row at all
        found = ", ".join(repr(name) for name in tables[0].names[:8])
        do = "Declare layout: decimal, thousands or delimiter, or name the features."
        raise DataError(f"source {tables[0].part.label}", "no column of numbers beside the keys", found=found, do=do)
    if config.layout.missing_columns == "null" or config.layout.has_fields:
        return list(dict.fromkeys([*first, *(name for table in tables[1:] for name in table.number_columns())]))
    for table in tables[1:]:
        _require_same(table, tables[0])
    return first


def _require_same(table: Table, first: Table) -> None:
    """Refuse a file with other columns where nobody said which columns are meant."""
    if table.value_of_wide is not None:
        return
    for names, others, what in ((first.names, table.names, "no"), (table.names, first.names, "a new")):
        other = [name for name in names if name not in others]
        if other:
            raise DataError(
                f"source {table.part.label}",
                f"the columns are not those of {first.part.name}",
                found=f"{what} {other[0]!r}"[:300],
                do="Name the features, or allow it with missing_columns: null.",
            )
