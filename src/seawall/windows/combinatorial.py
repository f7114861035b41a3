"""Combinatorial purged folds: every choice of test groups once, and the paths their predictions make."""

from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb

from seawall.arrays import Int64
from seawall.errors import ConfigError
from seawall.windows.folds import Fold, Length, Range, tail_start

MOST_FOLDS = 1000
"""Each is a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Combinatorial:
    """How a calendar is cut into groups, some of which are held out together (combinatorial purged cross-validation).

    Each choice of ``num_test_groups`` of ``num_groups`` is one fold: comb(6, 2) = 15 of them. A group is tested in
    comb(num_groups - 1, num_test_groups - 1) folds; the n-th test of each group, put together, is path n, so a path
    predicts every date once. Most models learn from what came *after* their test groups: paths say how much luck a
    result holds, they are no walk forward.

    Around each test group rows are purged on both sides, see :func:`seawall.windows.purge.train_of`, and within
    ``embargo_periods`` dates of it. With ``valid`` the last dates of a fold's last train group judge when to stop.
    """

    num_groups: int
    num_test_groups: int = 2
    valid: Length | None = None
    embargo_periods: int = 0

    @property
    def num_folds(self) -> int:
        """Choices of test groups."""
        return comb(self.num_groups, self.num_test_groups)

    @property
    def num_paths(self) -> int:
        """Times that each date is tested."""
        return comb(self.num_groups - 1, self.num_test_groups - 1)


def make_combinatorial_folds(calendar: Int64, kind: str, choice: Combinatorial) -> list[Fold]:
    """Cut a calendar into groups of equally many dates (to one), and give a fold for each choice of test groups.

    Source: M. López de Prado, "Advances in Financial Machine Learning", 2018, chapter 12.

    Parameters
    ----------
    calendar
        int64 [T], strictly increasing; ns since 1970 UTC where ``kind`` is ``timestamp``, else any integers.

    Raises
    ------
    ConfigError
        For numbers of groups that make no folds, more folds than 1,000, or groups too short.
    """
    _check(choice, len(calendar))
    cuts = [group * len(calendar) // choice.num_groups for group in range(choice.num_groups + 1)]
    groups = list(pairwise(cuts))
    num_tested = [0] * choice.num_groups
    folds = []
    for index, tested in enumerate(combinations(range(choice.num_groups), choice.num_test_groups)):
        left = [group for group in range(choice.num_groups) if group not in tested]
        train, valid = _without_tail(calendar, kind, [groups[group] for group in left], choice.valid)
        tests = tuple(groups[group] for group in tested)
        paths = tuple(num_tested[group] for group in tested)
        for group in tested:
            num_tested[group] += 1
        hulls = [(pieces[0][0], pieces[-1][1]) for pieces in (train, tests)]
        folds.append(
            Fold(index, hulls[0], valid, hulls[1], train_pieces=_merged(train), test_pieces=tests, paths=paths)
        )
    return folds


def _check(choice: Combinatorial, num_dates: int) -> None:
    if not 1 <= choice.num_test_groups < choice.num_groups:
        found, allowed = str(choice.num_test_groups), f"1 to {choice.num_groups - 1}, fewer than num_groups"
        raise ConfigError("folds.num_test_groups", "out of range", found=found, allowed=allowed)
    if choice.embargo_periods < 0:
        found = str(choice.embargo_periods)
        raise ConfigError("folds.embargo_periods", "must not be negative", found=found, allowed="0 or more")
    if choice.num_folds > MOST_FOLDS:
        what = f"{choice.num_test_groups} of {choice.num_groups} groups are {choice.num_folds:,} folds, each a model"
        raise ConfigError("folds.num_groups", what, allowed=f"{MOST_FOLDS:,} folds", do="Cut fewer groups.")
    if num_dates < choice.num_groups:
        found = f"{num_dates:,} dates"
        raise ConfigError("folds.num_groups", "more groups than dates", found=found, do="Bring more data.")


def _without_tail(
    calendar: Int64, kind: str, groups: list[Range], length: Length | None
) -> tuple[tuple[Range, ...], Range]:
    """Take valid off the end of the last train group."""
    start, stop = groups[-1]
    if length is None:
        return tuple(groups), (stop, stop)
    cut = tail_start(calendar, kind, stop, length, "valid")
    if not start < cut < stop:
        found, do = f"{length!r} of a group of {stop - start:,} dates", "Shorten valid, or cut fewer groups."
        raise ConfigError("folds.valid", "must be shorter than a group and hold a date", found=found, do=do)
    return (*groups[:-1], (start, cut)), (cut, stop)


def _merged(ranges: tuple[Range, ...]) -> tuple[Range, ...]:
    merged = [ranges[0]]
    for start, stop in ranges[1:]:
        if start == merged[-1][1]:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return tuple(merged)
