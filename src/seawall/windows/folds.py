"""Walk-forward folds on a calendar: train, valid and test segments as ranges of dates, rolling or expanding."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from seawall.arrays import AnyArray, Int64
from seawall.errors import ConfigError

Length: TypeAlias = int | str
"""Number of calendar dates, or a span of time: ``4y``, ``6mo``, ``13w``, ``90d``, in large letters too (``6M``)."""

Range: TypeAlias = tuple[int, int]
"""Half-open range of calendar indices."""

_SPAN = re.compile(r"([1-9][0-9]*)(y|mo|m|w|d)", re.IGNORECASE)
_DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    """How a calendar is cut into folds. Lengths are all in dates (``int``) or all in spans (``"6M"``), never mixed.

    Segments follow one another: train, valid, test, with ``gap`` left unused before valid and before test. Each fold
    starts ``step`` after the one before it (default: the length of test, so that test segments cover time without
    holes); with ``expanding`` all train segments start at the first date. A target must be known ``embargo_periods``
    dates before the next segment starts. ``partial_last`` keeps a last test segment that the calendar cuts short.
    """

    train: Length
    valid: Length
    test: Length
    step: Length | None = None
    expanding: bool = False
    embargo_periods: int = 0
    partial_last: bool = False
    gap: Length | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """One fold by its dates, ISO texts or integer steps: both ends of train, and the last date of valid and of test.

    Valid begins with the first date after train, test with the first after valid.
    """

    train: tuple[str | int, str | int]
    valid_to: str | int
    test_to: str | int


@dataclass(frozen=True, slots=True)
class Fold:
    """One step of the walk forward: half-open ranges ``(start, stop)`` of calendar indices.

    Of a combinatorial fold ``train`` and ``test`` reach from their first to their last date; what lies in them is in
    ``train_ranges`` and ``test_ranges``.
    """

    index: int
    train: Range
    valid: Range
    test: Range
    train_pieces: tuple[Range, ...] = ()
    test_pieces: tuple[Range, ...] = ()
    paths: tuple[int, ...] = ()
    """Of each test piece, the path its predictions belong to; empty where the folds walk forward."""

    @property
    def train_ranges(self) -> tuple[Range, ...]:
        """All stretches of train, in order of time."""
        return self.train_pieces or (self.train,)

    @property
    def test_ranges(self) -> tuple[Range, ...]:
        """All stretches of test, in order of time."""
        return self.test_pieces or (self.test,)


@dataclass(frozen=True, slots=True)
class _Span:
    """A length of time: whole months and whole days, or whole dates of the calendar."""

    periods: int = 0
    months: int = 0
    days: int = 0

    def plus(self, other: "_Span", times: int = 1) -> "_Span":
        return _Span(
            self.periods + times * other.periods, self.months + times * other.months, self.days + times * other.days
        )


def make_folds(calendar: Int64, kind: str, rolling: Rolling) -> list[Fold]:
    """Cut a calendar into folds, in order of time.

    Spans are counted from the first date of the calendar, so borders do not drift with holidays. Test segments never
    overlap. A last test segment that is short by less than the widest gap between two dates counts as whole.

    Parameters
    ----------
    calendar
        int64 [T], strictly increasing; ns since 1970 UTC where ``kind`` is ``timestamp``, else any integers.
    kind
        ``timestamp`` or ``step``.

    Raises
    ------
    ConfigError
        For a length that is not one, mixed kinds of length, overlapping test segments, or a calendar too short
        for one fold.
    """
    lengths = _lengths(rolling, kind)
    train, valid, test, step, gap = lengths
    folds: list[Fold] = []
    while True:
        shift = _Span().plus(step, len(folds))
        valid_start = shift.plus(train).plus(gap)
        test_start = valid_start.plus(valid).plus(gap)
        end = test_start.plus(test)
        if not _fits(calendar, end, test_start, rolling.partial_last):
            break
        cuts = [(shift, shift.plus(train)), (valid_start, valid_start.plus(valid)), (test_start, end)]
        segments = [(_place(calendar, start), _place(calendar, stop)) for start, stop in cuts]
        if rolling.expanding:
            segments[0] = (0, segments[0][1])
        folds.append(_fold(len(folds), segments, folds))
    if not folds:
        raise _too_short(calendar, lengths, rolling.partial_last)
    return folds


def make_dated_folds(calendar: Int64, kind: str, dated: Sequence[Dated]) -> list[Fold]:
    """Cut a calendar at given dates; both ends of a segment belong to it.

    Raises
    ------
    ConfigError
        For a text that is no date, segments out of order, or one without a date of the calendar.
    """
    folds: list[Fold] = []
    for fold in dated:
        ends = [_moment_of(end, kind) for end in (fold.train[1], fold.valid_to, fold.test_to)]
        first = int(np.searchsorted(calendar, _moment_of(fold.train[0], kind)))
        # A day without a time of day means all of it.
        stops = [
            int(np.searchsorted(calendar, end + _rest_of_day(text, kind), side="right"))
            for end, text in zip(ends, (fold.train[1], fold.valid_to, fold.test_to), strict=True)
        ]
        folds.append(_fold(len(folds), list(pairwise([first, *stops])), folds))
    return folds


def tail_start(calendar: Int64, kind: str, stop: int, length: Length, name: str) -> int:
    """Find where the last dates before a calendar index begin: as many as ``length`` says, or a span back from there.

    Raises
    ------
    ConfigError
        For a length that is not one, or a span on a calendar of integer steps.
    """
    span = _parse(name, length)
    if span.periods:
        return max(stop - span.periods, 0)
    if kind != "timestamp":
        what = "this calendar is integer steps, it has no years or days"
        raise ConfigError(f"folds.{name}", what, found=repr(length), allowed="a number of dates")
    after = _moment(calendar[stop - 1 : stop], _Span().plus(span, -1))
    return int(np.searchsorted(calendar, after, side="right"))


def _moment_of(text: str | int, kind: str) -> int:
    if kind != "timestamp":
        if isinstance(text, int):
            return text
        raise ConfigError("folds.dates", "this calendar is integer steps", found=repr(text), allowed="integers")
    try:
        return int(np.datetime64(str(text), "ns").astype(np.int64))
    except ValueError as error:
        raise ConfigError("folds.dates", "not a date", found=repr(text), do="Write for example 2018-10-31.") from error


def _rest_of_day(text: str | int, kind: str) -> int:
    return _DAY_NS - 1 if kind == "timestamp" and len(str(text)) == len("2018-10-31") else 0


def _fold(index: int, segments: list[tuple[int, int]], earlier: list[Fold]) -> Fold:
    for name, (start, stop) in zip(("train", "valid", "test"), segments, strict=True):
        if stop <= start:
            what = f"the segment of fold {index} holds no date"
            raise ConfigError(f"folds.{name}", what, do="Make it longer than the gaps of the calendar.")
    if earlier and segments[2][0] < earlier[-1].test[1]:
        raise ConfigError(
            "folds.step", "test segments would overlap", do="Make step at least as long as test, or leave it out."
        )
    train, valid, test = segments
    return Fold(index, train, valid, test)


def _lengths(rolling: Rolling, kind: str) -> list[_Span]:
    if rolling.embargo_periods < 0:
        found = str(rolling.embargo_periods)
        raise ConfigError("folds.embargo_periods", "must not be negative", found=found, allowed="0 or more")
    step = rolling.test if rolling.step is None else rolling.step
    named = {"train": rolling.train, "valid": rolling.valid, "test": rolling.test, "step": step}
    if rolling.gap is not None:
        named["gap"] = rolling.gap
    if len({isinstance(length, str) for length in named.values()}) > 1:
        found = ", ".join(f"{name}: {length!r}" for name, length in named.items())
        what = "lengths must be all dates or all spans"
        raise ConfigError("folds", what, found=found, do='Write for example "4Y", "6M", "6M".')
    if kind != "timestamp" and isinstance(rolling.train, str):
        what = "this calendar is integer steps, it has no years or days"
        raise ConfigError("folds", what, found=repr(rolling.train), allowed="numbers of dates")
    lengths = [_parse(name, length) for name, length in named.items()]
    return lengths if rolling.gap is not None else [*lengths, _Span()]


def _parse(name: str, length: Length) -> _Span:
    if isinstance(length, int) and length > 0:
        return _Span(periods=length)
    match = _SPAN.fullmatch(length) if isinstance(length, str) else None
    if match is None:
        allowed = "a positive number of dates, or a span in years, months, weeks or days"
        do = 'Write for example 250 or "6M".'
        raise ConfigError(f"folds.{name}", "not a length", found=repr(length), allowed=allowed, do=do)
    count, unit = int(match.group(1)), match.group(2).lower()
    months = {"y": 12 * count, "m": count, "mo": count}.get(unit, 0)
    return _Span(months=months, days={"w": 7 * count, "d": count}.get(unit, 0))


def _moment(calendar: Int64, span: _Span) -> int:
    """Add a span to the first time of a calendar; the day of the month is kept where that month has it."""
    first = calendar[:1].view("datetime64[ns]")
    month = first.astype("datetime64[M]")
    target = month + span.months
    into_month = (first - month).astype(np.int64)
    last_start = ((target + 1).astype("datetime64[ns]") - target.astype("datetime64[ns]")).astype(np.int64) - _DAY_NS
    into_month = np.minimum(into_month, last_start + into_month % _DAY_NS)
    moment: AnyArray = target.astype("datetime64[ns]").astype(np.int64) + into_month + span.days * _DAY_NS
    return int(moment[0])


def _place(calendar: Int64, span: _Span) -> int:
    """Find the first calendar index at or after a span counted from the first date."""
    if span == _Span():
        return 0
    if span.periods:
        return min(span.periods, len(calendar))
    return int(np.searchsorted(calendar, _moment(calendar, span)))


def _fits(calendar: Int64, end: _Span, test_start: _Span, partial: bool) -> bool:
    if partial:
        return _place(calendar, test_start) < len(calendar)
    if end.periods:
        return end.periods <= len(calendar)
    widest_gap = int(np.diff(calendar).max(initial=0))
    return len(calendar) > 0 and _moment(calendar, end) <= int(calendar[-1]) + widest_gap


def _too_short(calendar: Int64, lengths: list[_Span], partial: bool) -> ConfigError:
    train, valid, test, _, gap = lengths
    needed = train.plus(valid).plus(gap, 2)
    if not partial:
        needed = needed.plus(test)
    if needed.periods:
        text = f"{needed.periods + partial:,} dates"
    else:
        parts = [f"{needed.months} months"] * bool(needed.months) + [f"{needed.days} days"] * bool(needed.days)
        text = " and ".join(parts) + " of dates"
    found = f"{len(calendar):,} dates"
    if not needed.periods and len(calendar):
        found += f" over {(int(calendar[-1]) - int(calendar[0])) // _DAY_NS:,} days"
    do = "Shorten train, valid or test, or bring more data."
    return ConfigError("folds", f"no fold fits: one needs {text}", found=found, do=do)
