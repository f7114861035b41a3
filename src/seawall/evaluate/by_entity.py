"""Errors of each entity over all its predicted dates: what a hydrologist asks of every gauge."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Float64
from seawall.budget.heartbeat import Beat
from seawall.evaluate.inputs import Inputs
from seawall.metrics import Agreement, GroupMoments, PointwiseResult
from seawall.stores.atomic import replacing

NUMBERS = ("nse", "kge", "pearson", "alpha", "beta", "mse", "bias")
"""Of each entity; ``nse`` and ``kge`` as :class:`seawall.metrics.Agreement` says."""

SUMMARISED = ("nse", "kge", "pearson")


@dataclass(frozen=True, slots=True)
class EntityErrors:
    """Numbers of each entity that has a prediction with an outcome, NaN where undefined."""

    names: list[str]
    num_values: list[int]
    numbers: dict[str, Float64]

    def summary(self) -> dict[str, Any]:
        """Give median and quartiles over the entities; each entity counts once, however long it was predicted."""
        return {"num_entities": len(self.names), **{name: _quartiles(self.numbers[name]) for name in SUMMARISED}}

    def write(self, path: Path) -> None:
        """Write one row an entity."""
        columns = {"entity": pa.array(self.names, pa.string()), "num_values": pa.array(self.num_values, pa.int64())}
        with replacing(path) as temporary:
            pq.write_table(pa.table({**columns, **{k: pa.array(v) for k, v in self.numbers.items()}}), temporary)


def judge_entities(inputs: Inputs, beat: Beat) -> EntityErrors:
    """Judge all predictions entity by entity; memory is one row group and 1 KiB an entity."""
    moments, num_read = GroupMoments(), 0
    for path in range(inputs.store.num_paths) if inputs.store.num_paths else [None]:
        for batch in inputs.store.batches(path=path):
            entities = inputs.panel.entity_of(batch.row)
            moments.update(batch.prediction, inputs.targets(batch.row), entities)
            num_read += len(batch.row)
            beat(f"entities of {inputs.store.member}", num_read, inputs.store.num_rows)
    found = {entity: one for entity, one in sorted(moments.groups.items()) if one.result().n}
    results = [{**_fields(one.agreement()), **_fields(one.result())} for one in found.values()]
    numbers = {name: np.array([float(result[name]) for result in results], np.float64) for name in NUMBERS}
    names = inputs.panel.entities
    return EntityErrors([names[entity] for entity in found], [int(result["n"]) for result in results], numbers)


def _fields(result: Agreement | PointwiseResult) -> dict[str, float]:
    return asdict(result)


def _quartiles(values: Float64) -> dict[str, float | int | None]:
    defined = values[np.isfinite(values)]
    low, median, high = np.quantile(defined, (0.25, 0.5, 0.75)).tolist() if len(defined) else (None, None, None)
    share = math.fsum(defined > 0) / len(defined) if len(defined) else None
    counts = {"share_positive": share, "num_undefined": len(values) - len(defined)}
    return {"median": median, "lower_quartile": low, "upper_quartile": high, **counts}
