"""Which columns of a source hold numbers, for an ingest that names no features."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from seawall.errors import DataError
from seawall.ingest.sources import source_files
from seawall.tables.read import NULL_TEXTS


def number_columns(sources: Sequence[str], entity: str, time: str) -> list[str]:
    """List the number columns of the first source file, keys left out; CSV types come from its first MiB.

    Raises
    ------
    DataError
        Where the file cannot be parsed.
    """
    file = source_files(sources)[0]
    try:
        schema = pq.read_schema(file) if file.name.endswith(".parquet") else _csv_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"source {file}", "cannot be parsed", found=str(error).splitlines()[0]) from error
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    return [
        field.name
        for field in schema
        if field.name not in (entity, time) and any(is_kind(field.type) for is_kind in kinds)
    ]


def _csv_schema(file: Path) -> pa.Schema:
    with pacsv.open_csv(file, convert_options=pacsv.ConvertOptions(null_values=NULL_TEXTS)) as reader:
        return reader.schema
