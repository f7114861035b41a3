"""Panels made of random numbers, for cases that ask about speed alone."""

from pathlib import Path

import numpy as np

from seawall.stores.panel import Panel
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter
from seawall.units import MIB


def synthetic_panel(path: Path, *, num_entities: int, num_rows: int, num_features: int, num_targets: int = 0) -> Panel:
    """Write a panel of standard normal features and targets, every entity with the same dates."""
    rng = np.random.default_rng(0)
    times = np.arange(num_rows, dtype=np.int64)
    spec = PanelSpec(
        calendar_kind="step",
        columns=(
            *(ColumnSpec(f"f{i}", "features", "float32") for i in range(num_features)),
            *(ColumnSpec(f"y{i}", "targets", "float32") for i in range(num_targets)),
        ),
        targets=(),
    )
    with PanelWriter(path, spec, times) as writer:
        for number in range(num_entities):
            block = EntityBlock(
                names=[f"E{number:05d}"],
                lengths=np.array([num_rows]),
                times=times,
                features=rng.standard_normal((num_rows, num_features), np.float32),
                returns=rng.standard_normal((num_rows, num_targets)),
                target_end=np.full((num_rows, num_targets), -1),
                prices=np.empty((num_rows, 0)),
                adjustment=np.ones(num_rows),
                universe=np.ones(num_rows, bool),
            )
            writer.append(block)
        writer.finish(sources=[], ingest={}, slab_bytes=64 * MIB)
    return Panel(path)
