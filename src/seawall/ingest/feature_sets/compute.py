"""Compute a feature set over a bucket of whole entities."""

from collections.abc import Callable, Mapping

import numpy as np

from seawall.arrays import AnyArray, Float32, Float64, Int64
from seawall.ingest.feature_sets import alpha158, bars_basic
from seawall.ingest.feature_sets.catalogue import SETS
from seawall.ingest.feature_sets.dense import Chunk, Dense, chunks, lay_out

COMPUTE: dict[str, Callable[[Dense, alpha158.Put], None]] = {
    "alpha158": alpha158.compute,
    "bars_basic": bars_basic.compute,
}


def compute_set(name: str, columns: Mapping[str, Float64], position: Int64, starts: Int64, out: Float32) -> None:
    """Compute every feature of a set for every row of whole entities.

    Memory beyond ``out`` is one chunk, whatever the rows (:data:`seawall.ingest.memory.FEATURE_SET_BYTES`). No value
    depends on later rows: windows end at their row.

    Parameters
    ----------
    columns
        float64 [n] by role (open, high, low, close, volume, vwap), sorted by (entity, time).
    position
        int64 [n], place of each row on its entity's own axis, counted from 0.
    starts
        int64 [e + 1], first row of each entity and the end.
    out
        float32 [n, F], filled in the order of the catalogue; NaN where undefined.
    """
    facts = SETS[name]
    names = {feature: place for place, feature in enumerate(facts.names(tuple(columns)))}
    for chunk in chunks(position, starts, facts.history_periods):
        _fill(chunk, lay_out(chunk, columns), names, COMPUTE[name], out)


def _fill(
    chunk: Chunk, bars: Dense, names: Mapping[str, int], compute: Callable[[Dense, alpha158.Put], None], out: Float32
) -> None:
    values_FN = np.empty((len(names), len(chunk.rows)), np.float32)

    def put(name: str, values: AnyArray) -> None:
        with np.errstate(over="ignore"):
            values_FN[names[name]] = values[chunk.places - (chunk.size - len(values))]

    compute(bars, put)
    values_FN[np.isinf(values_FN)] = np.nan
    out[chunk.rows] = values_FN.T
