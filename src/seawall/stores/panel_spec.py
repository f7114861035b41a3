"""What a panel store is made of, and the rows it is written from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import AnyArray, Bool, Float32, Float64, Int64
from seawall.stores.npy import HEADER_BYTES
from seawall.stores.panel import TargetSpec
from seawall.stores.segments import ARRAYS, row_shape


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column of the store."""

    name: str
    group: str
    dtype: str
    unit: str = ""
    expression: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelSpec:
    """What a panel store is made of, known before the first row is written."""

    calendar_kind: str
    columns: tuple[ColumnSpec, ...]
    targets: tuple[TargetSpec, ...]

    def width(self, group: str) -> int:
        """Count the columns of a group."""
        return sum(column.group == group for column in self.columns)

    @property
    def arrays(self) -> list[str]:
        """Row arrays of a store of these columns; a group without columns has none."""
        return [name for name, (_, group) in ARRAYS.items() if not group or self.width(group)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityBlock:
    """Rows of whole entities, sorted by (entity, time).

    ``times`` are calendar values; ``target_end`` is the place in this block of the row that makes a target known, -1
    for never.
    """

    names: list[str]
    lengths: Int64
    times: Int64
    features: Float32
    returns: Float64
    target_end: Int64
    prices: Float64
    adjustment: Float64
    universe: Bool
    values: Float64 | None = None
    """Columns of the group ``values``, where there are any."""
    roles: Mapping[str, AnyArray] = field(default_factory=dict)
    """One number a row by role, of :data:`seawall.stores.segments.ROLES`."""

    def columns(self, calendar: Int64, kept: slice = slice(None)) -> dict[str, AnyArray]:
        """Give the row arrays of the rows in ``kept``; times and target ends become places in ``calendar``."""
        time_index = np.searchsorted(calendar, self.times).astype(np.int32)
        ends = np.where(self.target_end >= 0, time_index[np.maximum(self.target_end, 0)], -1)
        arrays: dict[str, AnyArray] = {
            "features": self.features,
            "target_end": ends,
            "returns": self.returns,
            "prices": self.prices,
            "adjustment": self.adjustment,
            "universe": self.universe,
            "time_index": time_index,
            **self.roles,
        }
        if self.values is not None:
            arrays["values"] = self.values
        cut = {name: array[kept] for name, array in arrays.items()}
        return cut | {"targets": cut["returns"].astype(np.float32)}


@dataclass(frozen=True, slots=True)
class Settled:
    """Rows of an unfinished segment that are on disk for good."""

    folder: str
    """Name of the unfinished segment's folder."""
    names: list[str]
    lengths: Int64
    rows_per_date: Int64

    def is_whole(self, store: Path, spec: PanelSpec) -> bool:
        """Tell whether every array still holds the rows, and the segment may still become one of the store."""
        num_rows = int(self.lengths.sum())
        try:
            sizes = {name: (store / self.folder / f"{name}.npy").stat().st_size for name in spec.arrays}
        except OSError:
            return False
        widths = {name: math.prod(row_shape(name, spec.width)) * np.dtype(ARRAYS[name][0]).itemsize for name in sizes}
        is_free = not (store / self.folder[1:].removesuffix(".tmp")).exists()
        return is_free and all(size >= HEADER_BYTES + num_rows * widths[name] for name, size in sizes.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What the manifest says beside the arrays.

    ``first_changed`` is the first time at which anything differs from before; None for a store made anew.
    """

    sources: list[dict[str, Any]]
    ingest: dict[str, Any]
    recipe: str | None = None
    first_changed: int | None = None
    num_new_rows: int = 0
