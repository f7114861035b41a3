"""Folds of a panel for anybody: rows of train, valid and test, purged; scikit-learn's ``split``; a picture in text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Int64
from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from seawall.windows.api import columns_of
from seawall.windows.folds import Dated, Fold, Length, Rolling, make_dated_folds, make_folds
from seawall.windows.samples import Samples, select_samples

PICTURE_WIDTH = 64


@dataclass(frozen=True, slots=True)
class FoldSamples:
    """Samples of the segments of one fold; ``samples.rows(...)`` and ``samples.blocks()`` give row ids."""

    fold: Fold
    train: Samples
    valid: Samples
    test: Samples


class PanelFolds:
    """Folds of one panel. Iterating gives :class:`FoldSamples`; ``len`` is the number of folds.

    A train or valid row is purged where any of the targets *ends* at or after the start of the next segment, less the
    embargo: not by counting periods, so an entity that was suspended over the border is purged too.
    """

    def __init__(
        self, panel: Panel, folds: list[Fold], lookback: int, targets: tuple[int, ...], embargo_periods: int
    ) -> None:
        self.panel, self.folds, self.lookback = panel, folds, lookback
        self._targets, self._embargo_periods = targets, embargo_periods

    def __len__(self) -> int:
        return len(self.folds)

    def __iter__(self) -> Iterator[FoldSamples]:
        for fold in self.folds:
            train = self._known(fold.train, fold.valid[0])
            valid = self._known(fold.valid, fold.test[0])
            yield FoldSamples(fold, train, valid, select_samples(self.panel, fold.test, self.lookback))

    def split(self, x: object = None, y: object = None, groups: object = None) -> Iterator[tuple[Int64, Int64]]:
        """Give (train rows, test rows) of each fold as int64 arrays, as scikit-learn's splitters do.

        The arguments are there for scikit-learn and are not looked at: rows are those of the panel. Train includes
        valid, whose purge is that of test. Memory is 8 bytes a row of the fold.
        """
        del x, y, groups
        for fold in self.folds:
            train = self._known((fold.train[0], fold.valid[1]), fold.test[0])
            test = select_samples(self.panel, fold.test, self.lookback)
            yield _all_rows(train), _all_rows(test)

    def get_n_splits(self, x: object = None, y: object = None, groups: object = None) -> int:
        """Count the folds, as scikit-learn's splitters do."""
        del x, y, groups
        return len(self)

    def describe(self) -> str:
        """Draw the folds on the calendar and tell the dates and samples of each."""
        lines = picture(self.folds, len(self.panel.calendar))
        times = self.panel.times_as_datetime()
        for number, found in enumerate(self):
            fold, line = found.fold, lines[number]
            dates = f"{_date(times[fold.train[0]])} | {_date(times[fold.valid[0]])} | {_date(times[fold.test[0]])}"
            last = _date(times[fold.test[1] - 1])
            purged = found.train.num_purged + found.valid.num_purged
            counts = f"{found.train.num_samples:,} + {found.valid.num_samples:,} + {found.test.num_samples:,} samples"
            lines[number] = f"{line}  {dates} to {last}  {counts}, {purged:,} purged"
        return "\n".join([*lines, "t train, v valid, T test, . unused"])

    def _known(self, segment: tuple[int, int], next_start: int) -> Samples:
        known_before = next_start - self._embargo_periods
        return select_samples(self.panel, segment, self.lookback, targets=self._targets, known_before=known_before)


def folds(
    panel: Panel,
    *,
    train: Length | None = None,
    valid: Length | None = None,
    test: Length | None = None,
    dates: Sequence[Dated] = (),
    rolling: Rolling | None = None,
    lookback: int = 1,
    targets: Sequence[str] | None = None,
) -> PanelFolds:
    """Cut a panel into walk-forward folds, purged by when targets end.

    Give ``train``, ``valid`` and ``test`` as numbers of dates or spans (``3y``, ``6mo``, ``2w``); or a :class:`Rolling`
    with step, gap, embargo or an expanding train; or explicit ``dates``.

    Parameters
    ----------
    lookback
        Consecutive rows a sample needs; it may reach back over the start of a segment.
    targets
        Names of the targets that purge; None takes all.

    Raises
    ------
    ConfigError
        Where no fold fits, or the lengths are not given.

    Examples
    --------
    ::

        for train, test in sw.folds(panel, train="3y", valid="6mo", test="6mo").split():
            model.fit(x[train], y[train]).predict(x[test])
    """
    if dates:
        cut = make_dated_folds(panel.calendar, panel.calendar_kind, dates)
    else:
        rolling = rolling or _rolling(train, valid, test)
        cut = make_folds(panel.calendar, panel.calendar_kind, rolling)
    embargo_periods = rolling.embargo_periods if rolling is not None else 0
    return PanelFolds(panel, cut, lookback, columns_of(panel, "targets", targets), embargo_periods)


def picture(cut: list[Fold], num_dates: int, width: int = PICTURE_WIDTH) -> list[str]:
    """Draw one line a fold: where train, valid and test lie on the calendar. Every segment is at least one mark."""
    lines = []
    for fold in cut:
        marks = ["."] * width
        for mark, (start, stop) in zip("tvT", (fold.train, fold.valid, fold.test), strict=True):
            first = min(start * width // max(num_dates, 1), width - 1)
            for place in range(first, max(first + 1, stop * width // max(num_dates, 1))):
                marks[place] = mark
        lines.append(f"{fold.index:>3} {''.join(marks)}")
    return lines


def _rolling(train: Length | None, valid: Length | None, test: Length | None) -> Rolling:
    if train is None or valid is None or test is None:
        do = 'Write for example train="3y", valid="6mo", test="6mo".'
        raise ConfigError("folds", "needs train, valid and test, a rolling, or dates", do=do)
    return Rolling(train=train, valid=valid, test=test)


def _all_rows(samples: Samples) -> Int64:
    return samples.rows(np.arange(samples.num_samples))


def _date(time: object) -> str:
    return str(np.datetime_as_string(time, unit="D")) if isinstance(time, np.datetime64) else str(time)
