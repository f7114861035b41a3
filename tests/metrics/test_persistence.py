"""Autocorrelation and turnover of ranks, and decay, against pandas."""

import math

import numpy as np
import pandas as pd
import pytest

from seawall.metrics import Decay, RankPersistence, average_ranks
from seawall.metrics.quantiles import quantile_groups

NUM_DATES, NUM_NAMES, NUM_GROUPS = 30, 40, 5


def _scores(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    walk = rng.standard_normal((NUM_DATES, NUM_NAMES)).cumsum(axis=0)
    walk[rng.random(walk.shape) < 0.15] = np.nan
    return pd.DataFrame(walk)


def test_autocorrelation_is_that_of_ranks_over_names_on_both_dates() -> None:
    scores = _scores()
    ranks = scores.rank(axis=1)
    expected = ranks.corrwith(ranks.shift(1), axis=1)
    persistence, found = RankPersistence(), []
    for _, row in scores.iterrows():
        names = np.flatnonzero(row.notna())
        own = average_ranks(row.to_numpy()[names])
        found.append(persistence.update(names, own, quantile_groups(own, NUM_GROUPS) == NUM_GROUPS - 1).autocorrelation)
    assert math.isnan(found[0])
    np.testing.assert_allclose(found[1:], expected.to_numpy()[1:], atol=1e-12)


def test_turnover_is_the_share_of_new_names_in_the_top_group() -> None:
    persistence = RankPersistence()
    ranks = np.arange(1.0, 6.0)
    first = persistence.update(np.arange(5), ranks, ranks > 3)
    second = persistence.update(np.array([0, 3, 4, 7]), np.arange(1.0, 5.0), np.array([True, True, False, True]))
    assert math.isnan(first.turnover)
    assert second.turnover == pytest.approx(2 / 3)  # 0 and 7 are new, 3 was there


def test_decay_correlates_old_scores_with_the_target_of_now() -> None:
    scores, targets = _scores(1), _scores(2)
    decay, lags = Decay((1, 4)), (1, 4)
    found = []
    for place in range(NUM_DATES):
        names = np.flatnonzero(scores.iloc[place].notna())
        found.append(decay.update(names, scores.iloc[place].to_numpy()[names], targets.iloc[place].to_numpy()[names]))
    for column, lag in enumerate(lags):
        today = targets.where(scores.notna())  # a name is on a date where it has a prediction
        expected = scores.shift(lag).corrwith(today, axis=1)
        np.testing.assert_allclose(np.array(found)[lag:, column], expected.to_numpy()[lag:], atol=1e-12)
        assert np.isnan(np.array(found)[:lag, column]).all()


def test_new_names_may_come_and_dates_may_be_empty() -> None:
    persistence, decay = RankPersistence(), Decay((1,))
    nothing = np.empty(0, np.int64)
    assert math.isnan(persistence.update(nothing, np.empty(0), np.empty(0, bool)).autocorrelation)
    assert np.isnan(decay.update(nothing, np.empty(0), np.empty(0))).all()
    names = np.array([9, 2])
    persistence.update(names, np.array([1.0, 2.0]), np.array([False, True]))
    assert persistence.update(names, np.array([2.0, 1.0]), np.array([True, False])).autocorrelation == pytest.approx(-1)
