"""Combinatorial purged folds: every choice once, every date once a path, nothing learnt that test rows share."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seawall as sw
from seawall.arrays import Int64
from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from seawall.windows.combinatorial import Combinatorial, make_combinatorial_folds
from tests.support import DAY_NS, make_panel, quick_folder


def all_rows(samples: object) -> Int64:
    rows: Int64 = samples.rows(np.arange(samples.num_samples))  # type: ignore[attr-defined]
    return rows


def lives(panel: Panel, rows: Int64) -> tuple[Int64, Int64]:
    first = np.asarray(panel.time_index[rows], np.int64)
    return first, np.maximum(first, panel.target_end[rows].max(axis=1))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 5),
    groups=st.integers(2, 6),
    tested=st.integers(1, 3),
    embargo=st.integers(0, 4),
    valid=st.sampled_from([None, 3]),
)
def test_no_learnt_row_shares_a_date_with_the_life_of_a_test_row(
    seed: int, groups: int, tested: int, embargo: int, valid: int | None
) -> None:
    choice = Combinatorial(
        num_groups=groups, num_test_groups=min(tested, groups - 1), embargo_periods=embargo, valid=valid
    )
    with quick_folder() as folder:
        panel = make_panel(folder, num_dates=90, num_entities=4, seed=seed)
        for found in sw.folds(panel, combinatorial=choice, lookback=4):
            tests = all_rows(found.test)
            held = [tests] if valid is None else [tests, all_rows(found.valid)]
            for learnt, others in ((found.train, held), (found.valid, [tests])):
                first, last = lives(panel, all_rows(learnt))
                for rows in others:
                    start, end = lives(panel, rows)
                    # Every pair, the plain way: a life that ends before, or begins after, the other and its embargo.
                    apart = (last[:, None] < start - embargo) | (first[:, None] > end + embargo)
                    assert apart.all()
            dates = {date for start, stop in found.fold.test_ranges for date in range(start, stop)}
            assert set(panel.time_index[tests].tolist()) <= dates


def test_both_sides_of_a_test_group_lose_just_what_overlaps(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_dates=100, num_entities=3, ragged=False)  # a target ends three dates later
    [*_, middle] = [
        found
        for found in sw.folds(panel, combinatorial=Combinatorial(num_groups=5, num_test_groups=1, embargo_periods=2))
        if found.fold.test == (40, 60)
    ]

    learnt = set(panel.time_index[all_rows(middle.train)].tolist())

    # Before: date 34 ends on 37, date 35 on 38 = 40 - embargo. After: date 59's target ends on 62, then the embargo.
    assert learnt == set(range(35)) | set(range(65, 97))
    assert middle.train.num_purged == 3 * (5 + 5)
    assert middle.train.num_missing == 3 * 3


def test_each_choice_is_one_fold_and_each_path_tests_every_date_once() -> None:
    calendar = np.arange(101)
    choice = Combinatorial(num_groups=6, num_test_groups=2)

    folds = make_combinatorial_folds(calendar, "step", choice)

    assert len(folds) == choice.num_folds == 15
    assert choice.num_paths == 5
    starts = sorted({start for fold in folds for start, _ in fold.test_ranges})
    assert [tuple(starts.index(start) for start, _ in fold.test_ranges) for fold in folds] == list(
        combinations(range(6), 2)
    )
    for path in range(5):
        pieces = [part for fold in folds for part, of in zip(fold.test_ranges, fold.paths, strict=True) if of == path]
        assert sorted(date for start, stop in pieces for date in range(start, stop)) == list(range(101))
    for fold in folds:
        covered = sorted(date for part in (*fold.train_ranges, *fold.test_ranges) for date in range(*part))
        assert covered == list(range(101))


def test_valid_is_the_tail_of_the_last_train_group_in_dates_or_as_a_span() -> None:
    calendar = np.arange(0, 360) * DAY_NS
    counted = make_combinatorial_folds(calendar, "timestamp", Combinatorial(num_groups=4, num_test_groups=1, valid=10))
    spanned = make_combinatorial_folds(
        calendar, "timestamp", Combinatorial(num_groups=4, num_test_groups=1, valid="10d")
    )

    assert [fold.valid for fold in counted] == [(350, 360), (350, 360), (350, 360), (260, 270)]
    assert counted == spanned
    assert counted[1].train_ranges == ((0, 90), (180, 350))


def test_the_picture_shows_purge_and_embargo_on_both_sides(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_dates=148, num_entities=3, ragged=False)
    folds = sw.folds(panel, combinatorial=Combinatorial(num_groups=4, num_test_groups=1, embargo_periods=2, valid=6))

    lines = folds.describe().splitlines()

    # Two dates a mark: three dates purged and two of embargo on each side of the group, and before valid.
    assert lines[3] == "   1 " + "t" * 16 + "xe" + "T" * 19 + "xe" + "t" * 29 + "xxevvv"
    assert "path 0" in lines[5]
    assert max(len(line) for line in lines) <= 80


def test_splits_are_what_scikit_learn_takes(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_dates=120)
    folds = sw.folds(panel, combinatorial=Combinatorial(num_groups=4, num_test_groups=2))

    splits = list(folds.split())

    assert len(splits) == folds.get_n_splits() == 6
    assert all(not set(train.tolist()) & set(test.tolist()) for train, test in splits)


def test_what_makes_no_folds_is_refused_by_name(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    with pytest.raises(ConfigError, match=r"folds\.num_test_groups: out of range, found 4, allowed: 1 to 3"):
        sw.folds(panel, combinatorial=Combinatorial(num_groups=4, num_test_groups=4))
    with pytest.raises(ConfigError, match=r"10 of 20 groups are 184,756 folds, each a model"):
        sw.folds(panel, combinatorial=Combinatorial(num_groups=20, num_test_groups=10))
    with pytest.raises(ConfigError, match=r"folds\.valid: must be shorter than a group"):
        sw.folds(panel, combinatorial=Combinatorial(num_groups=6, num_test_groups=2, valid=20))
    with pytest.raises(ConfigError, match=r"folds\.num_groups: more groups than dates"):
        sw.folds(panel, combinatorial=Combinatorial(num_groups=400, num_test_groups=1))
