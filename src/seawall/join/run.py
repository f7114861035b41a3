"""Join, read like the algorithm: each row group of predictions looks up its own rows in the panel and is written."""

from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import Int32, Int64
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import FormatError
from seawall.join.config import JoinConfig
from seawall.join.coverage import Coverage
from seawall.join.gather import RowGather
from seawall.join.table import TableBuilder
from seawall.stores.atomic import write_json
from seawall.stores.predictions import PredictionStore, open_predictions
from seawall.stores.table_parts import PartsWriter


def join(panel: Path, predictions: Path, output: Path, config: JoinConfig, *, beat: Beat = silent) -> dict[str, Any]:
    """Join all predictions of a run with forward returns and prices of the panel they were made from.

    A left join by row id: no key is matched, so no key can match twice or in another format. Rows out are rows in;
    a prediction whose forward return is not defined keeps its row with a null, and is counted. Writes
    ``table_NNNN.parquet`` (FORMAT.md section 4) and ``coverage.json``. Memory is one row group (65,536 rows) of the
    table and the footer of one part of it, whatever the number of rows.

    Parameters
    ----------
    panel, predictions
        The ``NAME.panel`` and ``predictions/`` folders.
    output
        Folder of these files, made where missing.
    beat
        Told how many rows are written.

    Returns
    -------
    dict
        ``num_rows``, ``num_matched``, ``share`` and the carried ``prices``.

    Raises
    ------
    ConfigError
        For an unknown price column, naming the nearest ones, and for predictions of combinatorial folds.
    FormatError, ResumeError
        Where the inputs are damaged or do not belong together.
    """
    opened, store = open_predictions(panel, predictions, config.target)
    store.refuse_paths()
    prices = config.prices or tuple(opened.names("prices"))
    builder = TableBuilder(opened, RowGather(opened, store.target, prices), prices)
    coverage = Coverage(opened.shape.num_dates, (int(manifest["fold"]) for manifest in store.manifests))
    output.mkdir(parents=True, exist_ok=True)
    _write_table(output, builder, store, coverage, beat)
    record = {"target": store.target, "prices": list(prices), **coverage.record(opened)}
    write_json(output / "coverage.json", record)
    return {name: record[name] for name in ("num_rows", "num_matched", "share", "prices")}


def _write_table(output: Path, builder: TableBuilder, store: PredictionStore, coverage: Coverage, beat: Beat) -> None:
    last = (-1, -1)
    # Only entity names repeat enough for Parquet's dictionaries; for numbers they cost memory and are then given up.
    with PartsWriter(output, builder.schema, ["entity"]) as writer:
        for batch in store.batches():
            block = builder.build(batch)
            last = _check_order(block.dates, batch.row, last, store)
            coverage.add(block.dates, batch.fold, block.matched)
            writer.write(block.table)
            beat("rows", coverage.num_rows, store.num_rows)
            del batch, block  # before the next is read
        if coverage.num_rows != store.num_rows:
            found, allowed = f"{coverage.num_rows:,}", f"{store.num_rows:,}"
            raise FormatError(str(store.folder), "wrong number of predictions", found=found, allowed=allowed)


def _check_order(dates: Int32, rows: Int64, last: tuple[int, int], store: PredictionStore) -> tuple[int, int]:
    """Check that (date, row) strictly increases over all blocks: each (time, entity) once. Give the last pair."""
    if len(rows) == 0:
        return last
    date_steps = np.diff(dates, prepend=np.int32(last[0]))
    row_steps = np.diff(rows, prepend=last[1])
    if ((date_steps < 0) | ((date_steps == 0) & (row_steps <= 0))).any():
        raise FormatError(
            str(store.folder),
            "predictions are out of order or repeated",
            allowed="each (time, entity) once, sorted, test segments of folds disjoint",
            do="Predict again.",
        )
    return int(dates[-1]), int(rows[-1])
