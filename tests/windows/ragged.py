"""Panels whose entities have any number of rows, with holes in time and rows outside the universe."""

from pathlib import Path

import numpy as np

from seawall.stores.panel import Panel
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter

NUM_DATES = 100


def write_ragged(folder: Path, lengths: list[int], seed: int, *, change_from: int = NUM_DATES) -> Panel:
    """Write a panel of two features; entities without rows are left out. Rows from a date on can be changed."""
    rng = np.random.default_rng(seed)
    spec = PanelSpec(
        calendar_kind="step",
        columns=(
            ColumnSpec("f", "features", "float32"),
            ColumnSpec("g", "features", "float32"),
            ColumnSpec("y", "targets", "float32"),
        ),
        targets=(),
    )
    with PanelWriter(folder / "ragged.panel", spec, np.arange(NUM_DATES)) as writer:
        for number, length in enumerate(lengths):
            times = np.sort(rng.choice(NUM_DATES, length, replace=False))
            features = rng.standard_normal((length, 2)).astype(np.float32)
            features[times >= change_from] += 1
            inside = rng.random(length) > 0.1
            if length:
                writer.append(
                    EntityBlock(
                        names=[f"E{number:03d}"],
                        lengths=np.array([length]),
                        times=times,
                        features=features,
                        returns=rng.standard_normal((length, 1)),
                        target_end=np.full((length, 1), length - 1),
                        prices=np.empty((length, 0)),
                        adjustment=np.ones(length),
                        universe=inside,
                    )
                )
        writer.finish(sources=[], ingest={}, slab_bytes=4096)
    return Panel(folder / "ragged.panel")
