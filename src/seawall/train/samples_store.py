"""Samples without dates as a panel store: what learns from panels then learns from them, in the same bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seawall.arrays import AnyArray, Float32
from seawall.stores.panel import Panel, TargetSpec
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter
from seawall.windows.folds import Fold

CHUNK_ROWS = 65_536
"""Rows written together: each chunk is an entity of its own, so the calendar stays this short."""


@dataclass(frozen=True, slots=True)
class SampleArrays:
    """Samples by position: anything that can be cut, in memory or mapped."""

    x: AnyArray
    """[N, L, F]"""
    y: AnyArray
    """[N, K]; a sample without any is left out"""


def write_samples(path: Path, segments: Sequence[SampleArrays], names: tuple[Sequence[str], Sequence[str]]) -> Panel:
    """Write the segments of a fold, train and valid, one after the other, each on dates of its own.

    A sample is ``L`` rows of which the last has a target, so the windows of the store that may be learnt from are the
    samples, in their order. Memory is one chunk of 65,536 rows.

    Parameters
    ----------
    names
        Of features and of targets.
    """
    lookback_periods, features, targets = segments[0].x.shape[1], *names
    spec = PanelSpec(
        calendar_kind="step",
        columns=(
            *(ColumnSpec(name, "features", "float32") for name in features),
            *(ColumnSpec(name, "targets", "float32") for name in targets),
        ),
        targets=tuple(TargetSpec(name, "given", "", 0, 0) for name in targets),
    )
    spans = [(first, stop) for first, stop in _spans(segments, lookback_periods)]
    with PanelWriter(path, spec, np.arange(spans[-1][1])) as writer:
        number = 0
        for segment, (first_date, _) in zip(segments, spans, strict=True):
            for x, y in _chunks(segment):
                writer.append(_block(f"samples{number:09d}", first_date, x, y))
                number += 1
        writer.finish(sources=[], ingest={}, slab_bytes=4 * 1024 * 1024)
    return Panel(path)


def fold_of(segments: Sequence[SampleArrays]) -> Fold:
    """Give the fold whose train and valid are the two segments that :func:`write_samples` has written."""
    train, valid = _spans(segments, segments[0].x.shape[1])
    return Fold(0, train, valid, (valid[1], valid[1]))


def _spans(segments: Sequence[SampleArrays], lookback_periods: int) -> Iterator[tuple[int, int]]:
    start = 0
    for segment in segments:
        num_samples = min(len(segment.x), _chunk_samples(lookback_periods))
        yield start, start + num_samples * lookback_periods
        start += num_samples * lookback_periods


def _chunk_samples(lookback_periods: int) -> int:
    return max(1, CHUNK_ROWS // lookback_periods)


def _chunks(segment: SampleArrays) -> Iterator[tuple[Float32, Float32]]:
    size = _chunk_samples(segment.x.shape[1])
    for start in range(0, len(segment.x), size):
        cut = slice(start, start + size)
        yield np.asarray(segment.x[cut], np.float32), np.asarray(segment.y[cut], np.float32)


def _block(name: str, first_date: int, x_NLF: Float32, y_NK: Float32) -> EntityBlock:
    num_samples, num_steps, num_features = x_NLF.shape
    num_rows, num_targets = num_samples * num_steps, y_NK.shape[1]
    last = np.arange(num_samples) * num_steps + num_steps - 1
    targets = np.full((num_rows, num_targets), np.nan)
    targets[last] = y_NK
    ends = np.full((num_rows, num_targets), -1, np.int64)
    ends[last] = last[:, None]
    return EntityBlock(
        names=[name],
        lengths=np.array([num_rows]),
        times=first_date + np.arange(num_rows),
        features=x_NLF.reshape(num_rows, num_features),
        returns=targets,
        target_end=ends,
        prices=np.empty((num_rows, 0)),
        adjustment=np.ones(num_rows),
        universe=np.ones(num_rows, bool),
    )
