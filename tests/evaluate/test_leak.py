"""When a daily IC is too good to be true, and when there is too little to say so."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from seawall.evaluate.leak import leak_warnings, lower_bound
from seawall.metrics import SeriesSummary, summarise_series

NAMES = np.full(300, 50, np.int32)


def series(mean: float, *, num_dates: int = 300, spread: float = 0.1) -> SeriesSummary:
    noise = np.random.default_rng(0).normal(0, spread, num_dates)
    return summarise_series(mean + noise - noise.mean(), 1)


def test_the_bound_is_the_one_sided_bound_of_a_student_t() -> None:
    ic = series(0.15)

    bound = lower_bound(ic)

    assert stats.t.sf((ic.mean - bound) / (ic.mean / ic.t_hac), ic.dof_hac) == pytest.approx(0.05)
    assert bound < ic.mean


def test_a_high_ic_is_told_with_its_numbers() -> None:
    (warning,) = leak_warnings("forward_return", series(0.25), NAMES)

    assert "0.250" in warning
    assert "300 dates" in warning


def test_an_ic_whose_bound_is_below_the_line_is_not_told() -> None:
    assert leak_warnings("forward_return", series(0.101), NAMES) == []
    assert leak_warnings("forward_return", series(-0.5), NAMES) == []


def test_few_dates_few_names_or_another_kind_of_target_are_not_judged() -> None:
    assert leak_warnings("forward_return", series(0.25, num_dates=249), NAMES[:249]) == []
    assert leak_warnings("forward_return", series(0.25), np.full(300, 29, np.int32)) == []
    assert leak_warnings("volatility", series(0.25), NAMES) == []


def test_a_perfect_leak_without_any_variance_is_told() -> None:
    assert len(leak_warnings("forward_return", summarise_series(np.ones(300), 1), NAMES)) == 1


def test_without_a_standard_error_there_is_no_bound() -> None:
    assert math.isnan(lower_bound(replace(series(0.25), t_hac=math.nan)))
    assert math.isnan(lower_bound(summarise_series([], 1)))
