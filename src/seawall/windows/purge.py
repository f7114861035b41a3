"""Samples of the segments of a fold, purged of what would tell of a later segment, or of a held-out one."""

from dataclasses import dataclass

import numpy as np

from seawall.stores.panel import Panel
from seawall.windows.direct import samples_by_date
from seawall.windows.folds import Fold, Range
from seawall.windows.samples import Samples, life_end, select_clear_samples, select_ranges, select_samples


@dataclass(frozen=True, slots=True)
class Purge:
    """What decides which rows of a fold are samples."""

    lookback_periods: int
    targets: tuple[int, ...]
    """Columns of ``panel.targets`` that purge."""
    embargo_periods: int = 0


def train_of(panel: Panel, fold: Fold, purge: Purge) -> Samples:
    """Choose the samples to learn from.

    Walking forward, each target is known ``embargo_periods`` dates before valid starts. In a combinatorial fold no
    target shares a date with the life of any row of a test group or of valid, lives being from a row's date to the end
    of its latest target, nor comes within the embargo of it, on either side. So one entity that is suspended long
    after the end of a group costs all dates until its target is known.
    """
    if not fold.paths:
        return _known(panel, fold.train, fold.valid[0], purge)
    segments = (*fold.test_ranges, *([fold.valid] if fold.valid[0] < fold.valid[1] else []))
    return _clear(panel, fold.train_ranges, segments, purge)


def valid_of(panel: Panel, fold: Fold, purge: Purge) -> Samples:
    """Choose the samples to stop by, as clear of test as train is of valid."""
    if not fold.paths:
        return _known(panel, fold.valid, fold.test[0], purge)
    return _clear(panel, (fold.valid,), fold.test_ranges, purge)


def learning_of(panel: Panel, fold: Fold, purge: Purge) -> Samples:
    """Choose the samples of train and valid together, for those who do not stop early."""
    if not fold.paths:
        return _known(panel, (fold.train[0], fold.valid[1]), fold.test[0], purge)
    ranges = [*fold.train_ranges, *([fold.valid] if fold.valid[0] < fold.valid[1] else [])]
    return _clear(panel, tuple(ranges), fold.test_ranges, purge)


def test_of(panel: Panel, fold: Fold, purge: Purge) -> Samples:
    """Choose the samples to predict, whether or not their target is known yet."""
    return select_ranges(panel, fold.test_ranges, purge.lookback_periods)


def left_out(panel: Panel, fold: Fold, purge: Purge, kept: tuple[Samples, Samples]) -> tuple[list[Range], list[Range]]:
    """Find the dates at the ends of train and valid that no sample is left on; ``kept`` are those of train and valid.

    Returns
    -------
    purged, embargo
        Ranges of calendar indices in order of time: dates whose targets reach what is held out, dates within the
        embargo of it.
    """
    purged: list[Range] = []
    embargo: list[Range] = []
    nexts = (fold.valid[0], fold.test[0])
    for ranges, samples, next_start in zip((fold.train_ranges, (fold.valid,)), kept, nexts, strict=True):
        used = np.flatnonzero(samples_by_date(panel, samples))
        for start, stop in ranges:
            inside = used[(used >= start) & (used < stop)]
            first, last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (stop, start)
            if fold.paths and start > 0:
                cut = max(start, first - purge.embargo_periods)
                purged, embargo = [*purged, (start, cut)], [*embargo, (cut, first)]
            if (not fold.paths or stop < panel.shape.num_dates) and len(inside):
                cut = max(last, min(stop, (stop if fold.paths else next_start) - purge.embargo_periods))
                purged, embargo = [*purged, (last, cut)], [*embargo, (cut, stop)]
    return [part for part in purged if part[0] < part[1]], [part for part in embargo if part[0] < part[1]]


def _known(panel: Panel, segment: Range, next_start: int, purge: Purge) -> Samples:
    known_before = next_start - purge.embargo_periods
    return select_samples(panel, segment, purge.lookback_periods, targets=purge.targets, known_before=known_before)


def _clear(panel: Panel, ranges: tuple[Range, ...], segments: tuple[Range, ...], purge: Purge) -> Samples:
    width = purge.embargo_periods
    held = []
    for segment in segments:
        known = life_end(panel, select_ranges(panel, [segment], purge.lookback_periods), purge.targets)
        held.append((segment[0] - width, max(known, segment[1] - 1) + width))
    return select_clear_samples(panel, ranges, purge.lookback_periods, targets=purge.targets, held=held)
