"""Small panel stores written by hand, for tests of the stores themselves."""

from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import AnyArray, Float64, Int64
from seawall.stores.panel import TargetSpec
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter

SPEC = PanelSpec(
    calendar_kind="step",
    columns=(
        ColumnSpec("f", "features", "float32", "", "close / 2"),
        ColumnSpec("g", "features", "float32"),
        ColumnSpec("fwd", "targets", "float32", "return"),
        ColumnSpec("close", "prices", "float64", "source price"),
    ),
    targets=(TargetSpec("fwd", "forward_return", "close", 1, 1),),
)


FULL_SPEC = PanelSpec(
    calendar_kind=SPEC.calendar_kind,
    columns=(
        *SPEC.columns,
        ColumnSpec("cap", "weights", "float32"),
        ColumnSpec("paid", "dividends", "float64"),
        ColumnSpec("split", "splits", "float64"),
    ),
    targets=SPEC.targets,
)
"""Every group there is."""


def roles_of(number: Float64) -> dict[str, AnyArray]:
    """Weights, dividends and splits that tell the number of their row."""
    return {"weights": (number / 2).astype(np.float32), "dividends": number / 10, "splits": number + 2}


def block(names: list[str], lengths: list[int], times: Int64) -> EntityBlock:
    """Rows whose every value tells its place in the block."""
    n = len(times)
    counting = np.arange(n, dtype=np.float64)
    return EntityBlock(
        names=names,
        lengths=np.array(lengths),
        times=times,
        features=np.column_stack([counting, -counting]).astype(np.float32),
        returns=(counting / 8)[:, None],
        target_end=np.full((n, 1), -1),
        prices=(100 + counting)[:, None],
        adjustment=np.ones(n),
        universe=counting % 2 == 0,
    )


def tiny_block() -> EntityBlock:
    """Entity A at 10, 20, 40 and entity B at 20, 30, with one known target."""
    rows = block(["A", "B"], [3, 2], np.array([10, 20, 40, 20, 30]))
    rows.target_end[0, 0] = 2
    return rows


TINY_CALENDAR = np.array([10, 20, 30, 40])


def write_tiny(path: Path, *, slab_bytes: int = 4096, shift: float = 0.0) -> dict[str, Any]:
    """Write the tiny panel; ``shift`` moves its prices."""
    rows = tiny_block()
    rows.prices[:] += shift
    with PanelWriter(path, SPEC, TINY_CALENDAR) as writer:
        writer.append(rows)
        return writer.finish(sources=[], ingest={}, slab_bytes=slab_bytes)
