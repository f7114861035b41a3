"""Wide frames, dates by entities, as vectorbt takes them: Feather, because Parquet keeps notes on every column."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seawall.arrays import Float64
from seawall.bridges.folder import appearing
from seawall.bridges.predictions import require_dates, with_index
from seawall.budget.heartbeat import Beat, silent
from seawall.stores.atomic import DirtyWindow
from seawall.stores.panel import Panel
from seawall.stores.predictions import PredictionStore, open_predictions


def export_vectorbt(
    panel: Path, predictions: Path, output: Path, *, block_cells: int, beat: Beat = silent
) -> dict[str, Any]:
    """Write ``scores.feather`` and one file for each price: float64, a row a date and a column an entity.

    pandas reads them with the times as index. Prices are adjusted; NaN where there is no price or
    no prediction. Rows are the dates from the first prediction to the last. Memory is one block of dates.

    Parameters
    ----------
    block_cells
        Dates x entities held at once, of each frame.

    Returns
    -------
    dict
        ``num_rows`` (dates), ``num_entities``, ``frames``.

    Raises
    ------
    ConfigError
        For a calendar of steps, or an output that is there already.
    """
    opened, store = open_predictions(panel, predictions)
    require_dates(opened)
    prices = opened.names("prices")
    frames = ["scores", *(f"price_{number}_{name}" if "/" in name else name for number, name in enumerate(prices))]
    schema = _schema(opened)
    num_rows = 0
    with appearing(output) as folder, ExitStack() as stack:
        paths = [folder / f"{name}.feather" for name in frames]
        writers = [stack.enter_context(pa.ipc.new_file(str(path), schema)) for path in paths]
        windows = [DirtyWindow(path) for path in paths]
        for first, scores in _score_blocks(opened, store, max(1, block_cells // max(1, opened.shape.num_entities))):
            times = pa.array(opened.calendar[first : first + len(scores)]).cast(pa.timestamp("ns"))
            for writer, block in zip(writers, _blocks(opened, first, scores), strict=True):
                columns = [times, *(pa.array(np.ascontiguousarray(column)) for column in block.T)]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            num_rows += len(scores)
            for window in windows:
                window.note()
            beat("write", num_rows, opened.shape.num_dates)
    return {"num_rows": num_rows, "num_entities": opened.shape.num_entities, "frames": frames, "renamed": {}}


def _schema(panel: Panel) -> pa.Schema:
    names = panel.entities
    time = "time" if "time" not in names else "__time__"
    return with_index(pa.schema([(time, pa.timestamp("ns")), *((name, pa.float64()) for name in names)]), [time])


def _score_blocks(panel: Panel, store: PredictionStore, block_dates: int) -> Iterator[tuple[int, Float64]]:
    """Give blocks of consecutive dates: calendar index of the first, scores [dates, entities]."""
    first, last, block = -1, -1, np.empty((0, 0))
    for date, batch in store.dates(panel):
        while first < 0 or date >= first + block_dates:
            if first >= 0:
                yield first, block
            first = date if first < 0 else first + block_dates
            block = np.full((block_dates, panel.shape.num_entities), np.nan)
        block[date - first, panel.entity_of(batch.row)] = batch.prediction
        last = date
    if first >= 0:
        yield first, block[: last - first + 1]


def _blocks(panel: Panel, first: int, scores: Float64) -> Iterator[Float64]:
    """Give the scores, then each price, of the same dates."""
    yield scores
    bounds = panel.time_offsets
    rows = np.asarray(panel.by_time[bounds[first] : bounds[first + len(scores)]])
    dates, entities = panel.time_index[rows] - first, panel.entity_of(rows)
    order = np.argsort(rows, kind="stable")
    adjustment = np.asarray(panel.adjustment[rows[order]])
    block = np.empty_like(scores)
    for column in range(len(panel.names("prices"))):
        block[:] = np.nan
        block[dates[order], entities[order]] = np.asarray(panel.prices[rows[order], column]) / adjustment
        yield block
