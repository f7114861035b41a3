"""A panel as Parquet: one row per (entity, time), sorted by it, in row groups of bounded size."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.bridges.folder import appearing
from seawall.budget.heartbeat import Beat, silent
from seawall.stores.atomic import DirtyWindow
from seawall.stores.panel import Panel
from seawall.stores.predictions import time_type
from seawall.stores.segments import ARRAYS, ROLES

GROUPS_PER_FILE = 64
"""Row groups of one file: what a writer keeps of finished groups grows with them."""

_GROUPS = ("features", "targets", "prices")
_ALWAYS = ("entity", "time", "adjustment", "universe", *ROLES)


def export_parquet(panel: Panel, output: Path, *, block_rows: int, beat: Beat = silent) -> dict[str, Any]:
    """Write ``output/part-00000.parquet`` and following.

    Columns: ``entity``, ``time``, every feature (float32), every target (float64, before the training cast), every
    price (float64, unadjusted), ``weights``, ``dividends`` and ``splits`` where there are some, ``adjustment``,
    ``universe``. Missing is null. A name that would stand twice becomes
    ``group.name``. Memory is one row group.

    Returns
    -------
    dict
        ``num_rows``, ``num_files``, ``columns``, and ``renamed`` columns.

    Raises
    ------
    ConfigError
        Where the output is there already.
    """
    names = column_names(panel)
    fields = [(name, pa.float32() if group == "features" else pa.float64()) for (group, _), name in names.items()]
    keys = [("entity", pa.dictionary(pa.int32(), pa.string())), ("time", time_type(panel))]
    fields += [(role, pa.from_numpy_dtype(ARRAYS[role][0])) for role in ROLES if panel.names(role)]
    schema = pa.schema([*keys, *fields, ("adjustment", pa.float64()), ("universe", pa.bool_())])
    dictionary, num_rows, num_files = pa.array(panel.entities, pa.string()), panel.shape.num_rows, 0
    with appearing(output) as folder:
        for first in range(0, num_rows, block_rows * GROUPS_PER_FILE):
            path = folder / f"part-{num_files:05d}.parquet"
            window = DirtyWindow(path)
            with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=["entity"]) as writer:
                for start in range(first, min(num_rows, first + block_rows * GROUPS_PER_FILE), block_rows):
                    writer.write_table(_table(panel, schema, dictionary, slice(start, start + block_rows)))
                    window.note()
                    beat("write", start, num_rows)
            num_files += 1
    renamed = {name: f"{group} {source}" for (group, source), name in names.items() if name != source}
    return {"num_rows": num_rows, "num_files": num_files, "columns": schema.names, "renamed": renamed}


def column_names(panel: Panel) -> dict[tuple[str, str], str]:
    """Name the column of each (group, name): its own name, or ``group.name`` where that would stand twice."""
    listed = [(group, name) for group in _GROUPS for name in panel.names(group)]
    count = Counter([*(name for _, name in listed), *_ALWAYS])
    return {(group, name): name if count[name] == 1 else f"{group}.{name}" for group, name in listed}


def _table(panel: Panel, schema: pa.Schema, dictionary: pa.Array, rows: slice) -> pa.Table:
    start, stop, _ = rows.indices(panel.shape.num_rows)
    codes = pa.array(panel.entity_of(np.arange(start, stop)).astype(np.int32))
    columns = [
        pa.DictionaryArray.from_arrays(codes, dictionary),
        pa.array(panel.calendar[panel.read("time_index", start, stop)]).cast(schema.field("time").type),
    ]
    for array in ("features", "returns", "prices"):
        block = panel.read(array, start, stop)
        columns += [pa.array(np.ascontiguousarray(values), mask=np.isnan(values)) for values in block.T]
    roles = [role for role in ROLES if panel.names(role)]
    columns += [pa.array(np.asarray(panel.read(name, start, stop))) for name in (*roles, "adjustment", "universe")]
    return pa.Table.from_arrays(columns, schema=schema)
