"""Folds of a panel for anybody: rows of train, valid and test, purged; scikit-learn's ``split``; a picture in text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Int64
from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from seawall.windows.api import columns_of
from seawall.windows.combinatorial import Combinatorial, make_combinatorial_folds
from seawall.windows.folds import Dated, Fold, Length, Rolling, make_dated_folds, make_folds
from seawall.windows.picture import LEGEND, picture_line
from seawall.windows.purge import Purge, learning_of, left_out, test_of, train_of, valid_of
from seawall.windows.samples import Samples


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
    embargo: not by counting periods, so an entity that was suspended over the border is purged too. Around the test
    groups of combinatorial folds rows are purged on both sides.
    """

    def __init__(self, panel: Panel, folds: list[Fold], purge: Purge) -> None:
        self.panel, self.folds, self.purge = panel, folds, purge

    def __len__(self) -> int:
        return len(self.folds)

    def __iter__(self) -> Iterator[FoldSamples]:
        for fold in self.folds:
            yield FoldSamples(fold, *(of(self.panel, fold, self.purge) for of in (train_of, valid_of, test_of)))

    def split(self, x: object = None, y: object = None, groups: object = None) -> Iterator[tuple[Int64, Int64]]:
        """Give (train rows, test rows) of each fold as int64 arrays, as scikit-learn's splitters do.

        The arguments are there for scikit-learn and are not looked at: rows are those of the panel. Train includes
        valid, whose purge is that of test. Memory is 8 bytes a row of the fold.
        """
        del x, y, groups
        for fold in self.folds:
            train, test = (of(self.panel, fold, self.purge) for of in (learning_of, test_of))
            yield _all_rows(train), _all_rows(test)

    def get_n_splits(self, x: object = None, y: object = None, groups: object = None) -> int:
        """Count the folds, as scikit-learn's splitters do."""
        del x, y, groups
        return len(self)

    def describe(self) -> str:
        """Draw the folds on the calendar and tell the dates and samples of each, in lines of at most 80 characters."""
        lines: list[str] = []
        times, num_dates = self.panel.times_as_datetime(), len(self.panel.calendar)
        for found in self:
            fold = found.fold
            purged, embargo = left_out(self.panel, fold, self.purge, (found.train, found.valid))
            valid = [fold.valid] if fold.valid[0] < fold.valid[1] else []
            layers = (("t", fold.train_ranges), ("x", purged), ("e", embargo), ("v", valid), ("T", fold.test_ranges))
            lines.append(picture_line(fold.index, num_dates, layers))
            starts = [_date(times[min(part[0], num_dates - 1)]) for part in (fold.train, fold.valid, fold.test)]
            counts = f"{found.train.num_samples:,} + {found.valid.num_samples:,} + {found.test.num_samples:,}"
            num_purged = found.train.num_purged + found.valid.num_purged
            lines.append(f"    {' | '.join(starts)} to {_date(times[fold.test[1] - 1])}")
            lines.append(f"    {counts} samples, {num_purged:,} purged{_paths(fold)}")
        return "\n".join([*lines, LEGEND])


def folds(  # noqa: PLR0913 - the one place where a stranger sees all there is to choose
    panel: Panel,
    *,
    train: Length | None = None,
    valid: Length | None = None,
    test: Length | None = None,
    dates: Sequence[Dated] = (),
    rolling: Rolling | None = None,
    combinatorial: Combinatorial | None = None,
    lookback: int = 1,
    targets: Sequence[str] | None = None,
) -> PanelFolds:
    """Cut a panel into folds, purged by when targets end.

    Give ``train``, ``valid`` and ``test`` as numbers of dates or spans (``3y``, ``6mo``, ``2w``); or a :class:`Rolling`
    with step, gap, embargo or an expanding train; or explicit ``dates``: they walk forward. Or a
    :class:`Combinatorial`: every choice of test groups once, with train before and after them.

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
        cut, embargo_periods = make_dated_folds(panel.calendar, panel.calendar_kind, dates), 0
    elif combinatorial is not None:
        cut = make_combinatorial_folds(panel.calendar, panel.calendar_kind, combinatorial)
        embargo_periods = combinatorial.embargo_periods
    else:
        rolling = rolling or _rolling(train, valid, test)
        cut, embargo_periods = make_folds(panel.calendar, panel.calendar_kind, rolling), rolling.embargo_periods
    return PanelFolds(panel, cut, Purge(lookback, columns_of(panel, "targets", targets), embargo_periods))


def _rolling(train: Length | None, valid: Length | None, test: Length | None) -> Rolling:
    if train is None or valid is None or test is None:
        do = 'Write for example train="3y", valid="6mo", test="6mo".'
        raise ConfigError("folds", "needs train, valid and test, a rolling, or dates", do=do)
    return Rolling(train=train, valid=valid, test=test)


def _all_rows(samples: Samples) -> Int64:
    return samples.rows(np.arange(samples.num_samples))


def _paths(fold: Fold) -> str:
    return f", path {', '.join(str(path) for path in fold.paths)}" if fold.paths else ""


def _date(time: object) -> str:
    return str(np.datetime_as_string(time, unit="D")) if isinstance(time, np.datetime64) else str(time)
