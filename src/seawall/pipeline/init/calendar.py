"""Lengths of folds, horizon and lookback from what is known of the calendar."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from seawall.errors import DataError

DAY_SECONDS = 86_400.0
MONTH_DAYS = 30.4375
FEWEST_DATES = 24
"""Below this no train, valid and test segment with a target each can be cut."""

NUM_TESTS = 3
"""Test segments: three say whether a result repeats, and each costs a model."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How the calendar ticks."""

    num_dates: int
    is_exact: bool
    """All rows were read, so dates are counted, not estimated."""
    kind: str
    step: float
    """Usual distance of two dates, in seconds or steps."""
    span: float
    """From the first date to the last, in seconds or steps."""

    @property
    def unit(self) -> str:
        """One word for a period."""
        if self.kind == "step":
            return "step"
        known = ((3_600, "hour"), (DAY_SECONDS, "day"), (7 * DAY_SECONDS, "week"))
        for seconds, word in known:
            if abs(self.step - seconds) < 0.02 * seconds:
                return word
        if 27 * DAY_SECONDS < self.step < 32 * DAY_SECONDS:
            return "month"
        return "bar"


def clock_of(survey: dict[str, Any], estimated_rows: int) -> Clock:
    """Read the clock from a survey.

    Raises
    ------
    DataError
        Where there are too few dates to walk forward on.
    """
    num_dates, seen = int(survey["num_dates"]), max(1, int(survey["num_rows"]))
    if not survey["is_complete"]:
        per_date = max(1.0, float(survey["median_names"]))
        num_dates = max(num_dates, int(min(estimated_rows / per_date, num_dates * estimated_rows / seen)))
    if num_dates < FEWEST_DATES:
        allowed = f"at least {FEWEST_DATES} to walk forward on"
        raise DataError("time", "too few dates", found=f"{num_dates}", allowed=allowed, do="Bring more history.")
    kind = "step" if survey["kind"] == "step" else "timestamp"
    return Clock(
        num_dates, bool(survey["is_complete"]), kind, float(survey["usual_step"]), float(survey["span_seconds"])
    )


def horizon_of(clock: Clock) -> tuple[int, str]:
    """Choose how far ahead to predict, and say why."""
    usual = {
        "hour": (12, "half a day: shorter moves of hourly bars are mostly costs"),
        "day": (5, "a trading week: daily noise averages out, turnover stays bearable"),
        "week": (4, "about a month"),
        "month": (1, "the next month"),
        "bar": (6, "a few bars: one bar is mostly noise"),
        "step": (1, "the next step"),
    }
    horizon, why = usual[clock.unit]
    most = max(1, clock.num_dates // 40)
    return (horizon, why) if horizon <= most else (most, f"short, because there are only {clock.num_dates} dates")


def lookback_of(clock: Clock, shortest_rows: int) -> tuple[int, str]:
    """Choose how many rows a sample sees, and say why."""
    usual = {
        "hour": (24, "a day"),
        "day": (20, "a trading month"),
        "week": (26, "half a year"),
        "month": (12, "a year"),
    }
    lookback, why = usual.get(clock.unit, (20, "enough to see a pattern, few enough to be quick"))
    most = max(2, clock.num_dates // 8)
    if lookback > most:
        return most, f"an eighth of the {clock.num_dates} dates there are"
    more = f"; entities of fewer rows (the shortest has {shortest_rows:,}) give no sample"
    return lookback, why + (more if shortest_rows < 2 * lookback else "")


def folds_of(clock: Clock) -> tuple[dict[str, Any], str]:
    """Cut the calendar into half for the first train segment, an eighth for valid, the rest into three tests."""
    counted = clock.num_dates
    days = clock.span / DAY_SECONDS
    if clock.kind == "timestamp" and days >= 2 * 365:
        whole, unit, word = int(days / MONTH_DAYS), "mo", "months"
    elif clock.kind == "timestamp" and (not clock.is_exact or (days >= 60 and clock.step < DAY_SECONDS)):
        whole, unit, word = int(days), "d", "days"
    else:
        whole, unit, word = counted, "", "dates"
    train, valid = max(1, whole // 2), max(1, whole // 8)
    test = max(1, ceil((whole - train - valid) / NUM_TESTS))
    lengths: dict[str, Any] = {"train": train, "valid": valid, "test": test}
    if unit:
        lengths = {name: f"{length}{unit}" for name, length in lengths.items()}
    told = f"{counted:,} dates{'' if clock.is_exact else ' (estimated)'}" + (f", {whole:,} {word}" if unit else "")
    why = (
        f"{told}: half to learn from, an eighth"
        f" to stop by, then {NUM_TESTS} tests in a row that cover the rest; each fold is a model of its own."
    )
    return lengths | {"partial_last": True}, why
