"""The predictions of a run for other programs: as Qlib keeps scores, and as alphalens keeps factors."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Float32, Int64
from seawall.bridges.folder import appearing
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import ConfigError
from seawall.metrics.quantiles import quantile_groups
from seawall.metrics.ranks import average_ranks
from seawall.stores.atomic import DirtyWindow
from seawall.stores.panel import Panel
from seawall.stores.predictions import PredictionStore, open_predictions

NUM_QUANTILES = 5
"""As alphalens' own default."""


def export_qlib_pred(panel: Path, predictions: Path, output: Path, *, beat: Beat = silent) -> dict[str, Any]:
    """Write ``output/pred.parquet``: what Qlib keeps as ``pred.pkl``, without a pickle.

    pandas reads it as a frame with the index (``datetime``, ``instrument``) and one float64 column ``score``, sorted by
    the index. Times are UTC without a zone, as Qlib's are. Memory is one row group.

    Returns
    -------
    dict
        ``num_rows``, and no ``renamed`` entities.

    Raises
    ------
    ConfigError
        For a calendar of steps, or an output that is there already.
    """
    opened, store = _opened(panel, predictions)
    names = pa.array(opened.entities, pa.string())
    index = [("datetime", pa.timestamp("ns")), ("instrument", pa.string())]
    schema = _indexed(index, [("score", pa.float64())])
    with appearing(output) as folder, pq.ParquetWriter(folder / "pred.parquet", schema, compression="zstd") as writer:
        window, num_rows = DirtyWindow(folder / "pred.parquet"), 0
        for batch in store.batches():
            columns = [*_keys(opened, batch.row, names), pa.array(batch.prediction.astype(np.float64))]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            num_rows += len(batch.row)
            window.note()
            beat("write", num_rows, store.num_rows)
    return {"num_rows": num_rows, "renamed": {}}


def export_alphalens(panel: Path, predictions: Path, output: Path, *, beat: Beat = silent) -> dict[str, Any]:
    """Write ``output/factor_data.parquet``, the frame alphalens' plots start from.

    pandas reads it with the index (``date``, ``asset``). Columns: one forward return for each horizon the panel has as
    a target, named ``1D``, ``5D`` after its periods, then ``factor`` and ``factor_quantile`` (1 the lowest to 5). A
    name of average rank r among the n of its date falls into quantile ``1 + floor((r - 1/2) x 5 / n)``: equal factors
    share a quantile. Names without any of the returns are left out, as alphalens does, after quantiles are made, and
    counted.
    Memory is one date and one row group.

    Returns
    -------
    dict
        ``num_rows``, ``num_dropped``, ``periods``.

    Raises
    ------
    ConfigError
        For a calendar of steps, a panel without a forward return, or an output that is there already.
    """
    opened, store = _opened(panel, predictions)
    targets = {f"{spec.horizon_periods}D": opened.column_index("targets", spec.name) for spec in opened.target_specs}
    if not targets:
        raise ConfigError("alphalens", "the panel has no forward return", do="Add one to ingest.targets.")
    names = pa.array(opened.entities, pa.string())
    returns = [(name, pa.float64()) for name in targets]
    index = [("date", pa.timestamp("ns")), ("asset", pa.string())]
    schema = _indexed(index, [*returns, ("factor", pa.float64()), ("factor_quantile", pa.int64())])
    num_rows = 0
    with appearing(output) as folder, pq.ParquetWriter(folder / "factor_data.parquet", schema) as writer:
        window = DirtyWindow(folder / "factor_data.parquet")
        for rows, factors, quantiles in _gathered(opened, store):
            known = np.asarray(opened.returns[rows])[:, list(targets.values())]
            kept = np.isfinite(known).all(axis=1)
            numbers = [*known[kept].T, factors[kept].astype(np.float64), quantiles[kept]]
            columns = [*_keys(opened, rows[kept], names), *(pa.array(np.ascontiguousarray(n)) for n in numbers)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            num_rows += int(kept.sum())
            window.note()
            beat("write", num_rows, store.num_rows)
    return {"num_rows": num_rows, "num_dropped": store.num_rows - num_rows, "periods": list(targets), "renamed": {}}


def _gathered(panel: Panel, store: PredictionStore, most: int = 65_536) -> Iterator[tuple[Int64, Float32, Int64]]:
    """Give whole dates with their quantiles, several at a time: row groups of one date would be many and small."""
    held: list[tuple[Int64, Float32, Int64]] = []
    num_held = 0
    for _, batch in store.dates(panel):
        quantiles = 1 + quantile_groups(average_ranks(batch.prediction), NUM_QUANTILES)
        held.append((batch.row, batch.prediction, quantiles))
        num_held += len(batch.row)
        if num_held >= most:
            yield _together(held)
            held, num_held = [], 0
    if held:
        yield _together(held)


def _together(held: Sequence[tuple[Int64, Float32, Int64]]) -> tuple[Int64, Float32, Int64]:
    rows, factors, quantiles = zip(*held, strict=True)
    return np.concatenate(rows), np.concatenate(factors), np.concatenate(quantiles)


def _opened(panel: Path, predictions: Path) -> tuple[Panel, PredictionStore]:
    opened, store = open_predictions(panel, predictions)
    require_dates(opened)
    return opened, store


def require_dates(panel: Panel) -> None:
    """Refuse a calendar of steps.

    Raises
    ------
    ConfigError
        As every program these files are for wants dates.
    """
    if panel.calendar_kind != "timestamp":
        found, allowed = "a calendar of integer steps", "times"
        raise ConfigError("export", "the kind wants dates", found=found, allowed=allowed, do="Export as parquet.")


def _keys(panel: Panel, rows: Int64, names: pa.Array) -> list[pa.Array]:
    times = pa.array(panel.calendar[panel.time_index[rows]]).cast(pa.timestamp("ns"))
    return [times, names.take(pa.array(panel.entity_of(rows)))]


def _indexed(index: Sequence[tuple[str, pa.DataType]], columns: Sequence[tuple[str, pa.DataType]]) -> pa.Schema:
    """Make a schema that pandas reads with some of its columns as the index."""
    return with_index(pa.schema([*index, *columns]), [name for name, _ in index])


def with_index(schema: pa.Schema, index: Sequence[str]) -> pa.Schema:
    """Say in a schema's metadata which columns are the index, the way pandas itself does."""
    kinds = {"double": "float64", "int64": "int64", "string": "unicode", "timestamp[ns]": "datetime"}
    types = {"double": "float64", "int64": "int64", "string": "object", "timestamp[ns]": "datetime64[ns]"}
    described = [
        {
            "name": field.name,
            "field_name": field.name,
            "pandas_type": kinds[str(field.type)],
            "numpy_type": types[str(field.type)],
            "metadata": None,
        }
        for field in schema
    ]
    levels = {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    told = {"index_columns": list(index), "column_indexes": [levels], "columns": described, "pandas_version": "2.0.0"}
    return schema.with_metadata({"pandas": json.dumps(told)})
