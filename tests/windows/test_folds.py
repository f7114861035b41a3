"""Walk-forward folds: lengths, borders, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.arrays import Int64
from seawall.errors import ConfigError
from seawall.windows.folds import Rolling, make_folds


def days(first: str, last: str) -> Int64:
    return np.arange(np.datetime64(first), np.datetime64(last)).astype("datetime64[ns]").astype(np.int64)


def weekdays(first: str, last: str) -> Int64:
    calendar = np.arange(np.datetime64(first), np.datetime64(last))
    return calendar[np.is_busday(calendar)].astype("datetime64[ns]").astype(np.int64)


def test_lengths_in_dates_give_segments_that_touch_and_tests_without_holes() -> None:
    folds = make_folds(np.arange(100), "step", Rolling(train=40, valid=10, test=20))

    assert [(f.train, f.valid, f.test) for f in folds] == [
        ((0, 40), (40, 50), (50, 70)),
        ((20, 60), (60, 70), (70, 90)),
    ]


def test_an_expanding_train_segment_always_starts_at_the_first_date() -> None:
    folds = make_folds(np.arange(100), "step", Rolling(train=40, valid=10, test=20, expanding=True))

    assert [f.train for f in folds] == [(0, 40), (0, 60)]


def test_a_short_last_test_segment_is_kept_only_when_asked_for() -> None:
    folds = make_folds(np.arange(100), "step", Rolling(train=40, valid=10, test=20, partial_last=True))

    assert [f.test for f in folds] == [(50, 70), (70, 90), (90, 100)]


def test_spans_fall_on_the_same_day_of_each_year_whatever_the_holidays() -> None:
    calendar = weekdays("2010-01-04", "2015-06-30")

    folds = make_folds(calendar, "timestamp", Rolling(train="2Y", valid="6M", test="6M"))

    starts = [str(calendar[f.test[0]].astype("datetime64[ns]").astype("datetime64[D]")) for f in folds]
    assert starts == ["2012-07-04", "2013-01-04", "2013-07-04", "2014-01-06", "2014-07-04"]
    assert all(a.test[1] == b.test[0] for a, b in pairwise(folds))


def test_a_month_added_to_the_31st_ends_on_the_last_day_of_a_short_month() -> None:
    calendar = days("2021-01-31", "2021-07-01")

    folds = make_folds(calendar, "timestamp", Rolling(train="1M", valid="1M", test="1M"))

    assert str(calendar[folds[0].valid[0]].astype("datetime64[ns]").astype("datetime64[D]")) == "2021-02-28"
    assert str(calendar[folds[0].test[0]].astype("datetime64[ns]").astype("datetime64[D]")) == "2021-03-31"


def test_weeks_and_days_are_spans_too() -> None:
    folds = make_folds(days("2020-01-01", "2020-03-01"), "timestamp", Rolling(train="3W", valid="7D", test="1W"))

    assert folds[0].train == (0, 21)
    assert folds[0].valid == (21, 28)
    assert len(folds) == 4


def test_a_last_segment_short_by_a_weekend_counts_as_whole() -> None:
    calendar = weekdays("2018-01-01", "2019-12-31")  # the last date is Monday 2019-12-30, 2020 starts on Wednesday

    folds = make_folds(calendar, "timestamp", Rolling(train="1Y", valid="6M", test="6M"))

    assert len(folds) == 1
    assert folds[0].test[1] == len(calendar)


@given(
    num_dates=st.integers(1, 200),
    train=st.integers(1, 40),
    valid=st.integers(1, 20),
    test=st.integers(1, 20),
    extra_step=st.integers(0, 10),
    expanding=st.booleans(),
    partial=st.booleans(),
)
def test_test_segments_never_overlap_and_nothing_reaches_past_the_calendar(
    num_dates: int, train: int, valid: int, test: int, extra_step: int, expanding: bool, partial: bool
) -> None:
    rolling = Rolling(
        train=train, valid=valid, test=test, step=test + extra_step, expanding=expanding, partial_last=partial
    )
    if num_dates < train + valid + (1 if partial else test):
        with pytest.raises(ConfigError, match="no fold fits"):
            make_folds(np.arange(num_dates), "step", rolling)
        return

    folds = make_folds(np.arange(num_dates), "step", rolling)

    seen: set[int] = set()
    for fold in folds:
        assert fold.train[1] == fold.valid[0]
        assert fold.valid[1] == fold.test[0] < fold.test[1] <= num_dates
        dates = set(range(*fold.test))
        assert not dates & seen
        seen |= dates


def test_a_calendar_too_short_says_how_many_dates_there_are_and_are_needed() -> None:
    with pytest.raises(ConfigError, match=r"one needs 70 dates, found 69 dates\. Shorten train"):
        make_folds(np.arange(69), "step", Rolling(train=40, valid=10, test=20))
    with pytest.raises(ConfigError, match=r"one needs 30 months of dates, found 90 dates over 89 days"):
        make_folds(days("2020-01-01", "2020-03-31"), "timestamp", Rolling(train="2Y", valid="3M", test="3M"))


@pytest.mark.parametrize(
    ("rolling", "message"),
    [
        (Rolling(train="2Q", valid="6M", test="6M"), "folds.train: not a length, found '2Q'"),
        (Rolling(train=0, valid=1, test=1), "folds.train: not a length, found 0"),
        (Rolling(train="2Y", valid=60, test="6M"), "lengths must be all dates or all spans"),
        (Rolling(train=10, valid=5, test=20, step=10), "test segments would overlap"),
        (Rolling(train=10, valid=5, test=5, embargo_periods=-1), "embargo_periods: must not be negative"),
    ],
)
def test_lengths_that_make_no_sense_are_refused_by_name(rolling: Rolling, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_folds(days("2010-01-01", "2020-01-01"), "timestamp", rolling)


def test_spans_on_a_calendar_of_integer_steps_are_refused() -> None:
    with pytest.raises(ConfigError, match="integer steps"):
        make_folds(np.arange(500), "step", Rolling(train="2Y", valid="6M", test="6M"))
