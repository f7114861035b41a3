"""One entity too long for a bucket: computed piece by piece along time, each with the rows around it that it reads."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from seawall.arrays import AnyArray
from seawall.ingest.bucket import Builder
from seawall.ingest.config import IngestConfig
from seawall.ingest.reach import features_back
from seawall.ingest.rows import Rows
from seawall.stores.panel_writer import PanelWriter

ALIGNED_ROWS = 4096
"""Pieces begin at a multiple of this: sums over a window are then added up in the same order as over the whole."""


@dataclass(frozen=True, slots=True)
class Around:
    """Rows before and after a row that its values read."""

    back: int
    ahead: int

    @property
    def num_rows(self) -> int:
        """Rows held beside a piece."""
        return self.back + ALIGNED_ROWS + self.ahead + 1


def rows_around(config: IngestConfig, back: int | None) -> Around | None:
    """Count the rows around a row that its values read; None where frames have no bound: an entity is held whole.

    ``back`` is what :func:`seawall.ingest.reach.features_back` has found.
    """
    if back is None:
        return None
    return Around(max(1, back), max((target.end_periods for target in config.targets.values()), default=0))


def rows_beside(config: IngestConfig) -> int | None:
    """Count the rows held beside a piece; None where an entity must be held whole."""
    around = rows_around(config, features_back(config))
    return None if around is None else around.num_rows


def write_pieces(pieces: Iterable[AnyArray], builder: Builder, around: Around, writer: PanelWriter) -> None:
    """Compute and write one entity whose rows come in pieces in order of time.

    Equal to computing it whole. Memory is one piece and ``around.num_rows`` rows.
    """
    held: Rows | None = None
    first_row = done = 0  # number within the entity of the first row held; rows of it that are written
    for piece in pieces:
        rows = builder.sort(piece)
        held = rows if held is None else _joined(held, rows)
        stop = len(held.times) - around.ahead
        if stop > done:
            held, first_row, done = _write(held, slice(done, stop), first_row, builder, around, writer)
    if held is None:
        return
    if len(held.times) > done:
        last = len(held.times)
        _write(held, slice(done, last), first_row, builder, around, writer)
    writer.add_entities(held.names, [first_row + len(held.times)])


def _write(
    held: Rows, kept: slice, first_row: int, builder: Builder, around: Around, writer: PanelWriter
) -> tuple[Rows, int, int]:
    """Compute the rows held, write some of them, and keep what later rows read."""
    block = builder.compute(replace(held, kept=kept))
    writer.append_rows(block.columns(builder.calendar, kept))
    wanted = first_row + kept.stop - around.back
    drop = max(0, wanted // ALIGNED_ROWS * ALIGNED_ROWS - first_row)
    rest = Rows(
        held.names,
        np.array([0, len(held.times) - drop]),
        held.times[drop:].copy(),
        held.values[drop:].copy(),
        carried=block.adjustment[drop : drop + 1].copy(),
        narrow=None if held.narrow is None else held.narrow[drop:].copy(),
    )
    return rest, first_row + drop, kept.stop - drop


def _joined(held: Rows, rows: Rows) -> Rows:
    narrow = None
    if held.narrow is not None and rows.narrow is not None:
        narrow = np.concatenate([held.narrow, rows.narrow])
    return Rows(
        held.names,
        np.array([0, len(held.times) + len(rows.times)]),
        np.concatenate([held.times, rows.times]),
        np.concatenate([held.values, rows.values]),
        carried=held.carried,
        narrow=narrow,
    )
