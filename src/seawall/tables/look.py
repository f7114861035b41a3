"""Sizes of a keyed table, from file metadata and a bounded sample: what planning before its one reading needs."""

from typing import Any

import pyarrow.parquet as pq

from seawall.tables.keyed import KeyedSource
from seawall.tables.read import require_columns
from seawall.tables.sample import take_sample


def sizes(source: KeyedSource) -> dict[str, Any]:
    """Estimate rows, names and the largest piece that must be held at once.

    Returns
    -------
    dict
        ``rows``, ``entities`` (doubled where the sample does not see all), ``rows_per_date``, ``values``,
        ``text_bytes`` (0 where no file is text) and ``group_bytes``: the wanted columns of the largest Parquet row
        group, as they lie in the file.

    Raises
    ------
    ConfigError, DataError
        For unknown columns or files that cannot be read.
    """
    columns = source.columns
    for file in source.files:
        require_columns(file, columns)
    sample = take_sample(source.files, source.entity, source.time)
    num_rows = max(1, sample.estimated_rows)
    complete = num_rows <= sample.num_rows * 1.06
    num_entities = max(1, len(sample.entities) * (1 if complete else 2))
    parquet = [file for file in source.files if file.name.endswith(".parquet")]
    return {
        "rows": num_rows,
        "entities": num_entities,
        "values": source.num_values,
        "text_bytes": sample.source_bytes,
        "group_bytes": max((_group_bytes(str(file), columns) for file in parquet), default=0),
    }


def _group_bytes(file: str, columns: tuple[str, ...]) -> int:
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        metadata = parquet.metadata
        places = [place for place, name in enumerate(metadata.schema.names) if name in columns]
        return max(
            (
                sum(metadata.row_group(group).column(place).total_compressed_size for place in places)
                for group in range(metadata.num_row_groups)
            ),
            default=0,
        )
