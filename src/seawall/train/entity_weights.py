"""What a sample counts by the spread of its entity, so that entities of any scale matter alike."""

import numpy as np

from seawall.arrays import Float32, Float64, Int64
from seawall.stores.panel import Panel
from seawall.windows.samples import Samples

SOFTENED_BY = 0.1
"""Of the standard deviation of all targets: an entity that hardly varies (a dry river) does not outweigh all others."""


def entity_weights(panel: Panel, train: Samples, column: int, std: float) -> Float32:
    """Give float32 [E], 1 / (s + 0.1)^2 with s the deviation of the entity's train targets over that of all targets.

    This is the loss of Kratzert and others, Hydrology and Earth System Sciences 23, 2019, equation 13: minimising the
    weighted squared error maximises the mean Nash-Sutcliffe efficiency, softened. An entity with fewer than two train
    targets counts like one of the usual spread. Train samples alone are read, in two passes in float64; memory is 40
    bytes an entity and one block.

    Parameters
    ----------
    train
        Rows that are learnt from.
    column
        Column of the target.
    std
        Standard deviation of all train targets, above 0.
    """
    counts, means = _sums(panel, train, column, None)
    with np.errstate(invalid="ignore", divide="ignore"):
        means /= counts
        _, squares = _sums(panel, train, column, means)
        spread = np.where(counts > 1, np.sqrt(squares / counts) / std, 1.0)
    return (1.0 / (spread + SOFTENED_BY) ** 2).astype(np.float32)


def _sums(panel: Panel, train: Samples, column: int, centres: Float64 | None) -> tuple[Int64, Float64]:
    """Count the targets of each entity, and add them up, or the squares of their distance to a centre."""
    num_entities = panel.shape.num_entities
    counts, sums = np.zeros(num_entities, np.int64), np.zeros(num_entities)
    for rows in train.blocks():
        values, entities = panel.targets[rows, column].astype(np.float64), panel.entity_of(rows)
        known = ~np.isnan(values)
        values, entities = values[known], entities[known]
        added = values if centres is None else (values - centres[entities]) ** 2
        counts += np.bincount(entities, minlength=num_entities)
        sums += np.bincount(entities, added, minlength=num_entities)
    return counts, sums
