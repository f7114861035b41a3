"""Folds of a panel for anybody: purged where targets end, drawn as text, cut at explicit dates."""

from pathlib import Path

import numpy as np
import pytest

import seawall as sw
from seawall.arrays import Int64
from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter
from seawall.windows.folds import Dated, Rolling, make_dated_folds, make_folds
from tests.support import DAY_NS, make_panel

HORIZON = 3


def write_suspended(path: Path) -> Panel:
    """A trades on all of 60 days; B is suspended from day 25 to day 34. Targets end three rows later."""
    calendar = np.arange(60)
    present = {"A": calendar, "B": np.concatenate([calendar[:25], calendar[35:]])}
    spec = PanelSpec(
        calendar_kind="step",
        columns=(ColumnSpec("f", "features", "float32"), ColumnSpec("y", "targets", "float32")),
        targets=(),
    )
    with PanelWriter(path, spec, calendar) as writer:
        for name, times in present.items():
            n = len(times)
            ends = np.arange(n) + HORIZON
            writer.append(
                EntityBlock(
                    names=[name],
                    lengths=np.array([n]),
                    times=times,
                    features=times[:, None].astype(np.float32),
                    returns=np.where(ends < n, 0.5, np.nan)[:, None],
                    target_end=np.where(ends < n, ends, -1)[:, None],
                    prices=np.empty((n, 0)),
                    adjustment=np.ones(n),
                    universe=np.ones(n, bool),
                )
            )
        writer.finish(sources=[], ingest={}, slab_bytes=4096)
    return Panel(path)


def dates_of(panel: Panel, rows: Int64, entity: int) -> list[int]:
    mine = rows[panel.entity_of(rows) == entity]
    return [int(date) for date in panel.time_index[mine]]


def test_an_entity_suspended_over_a_border_is_purged_by_when_its_targets_end(tmp_path: Path) -> None:
    panel = write_suspended(tmp_path / "x.panel")
    dates = [Dated(train=(0, 29), valid_to=44, test_to=59)]

    [found] = sw.folds(panel, dates=dates)

    train, valid = (samples.rows(np.arange(samples.num_samples)) for samples in (found.train, found.valid))
    # A's last target known before day 30 is that of day 26. B's day 22 ends on day 35, after the suspension.
    assert dates_of(panel, train, 0)[-1] == 26
    assert dates_of(panel, train, 1)[-1] == 21
    assert dates_of(panel, valid, 0) == list(range(30, 42))
    assert dates_of(panel, valid, 1) == list(range(35, 42))
    assert found.train.num_purged == 3 + 3


def test_explicit_dates_are_the_dates_of_the_segments() -> None:
    days = np.arange(np.datetime64("2018-01-01"), np.datetime64("2019-06-01")).astype("datetime64[ns]").astype(np.int64)
    calendar = days[(days // DAY_NS + 3) % 7 < 5]
    dated = Dated(train=("2018-01-02", "2018-10-31"), valid_to="2018-12-31", test_to="2019-03-27")

    [fold] = make_dated_folds(calendar, "timestamp", [dated])

    def ends(segment: tuple[int, int]) -> list[str]:
        found = calendar[[segment[0], segment[1] - 1]].view("datetime64[ns]").astype("datetime64[D]")
        return [str(day) for day in found]

    assert ends(fold.train) == ["2018-01-02", "2018-10-31"]
    assert ends(fold.valid) == ["2018-11-01", "2018-12-31"]
    assert ends(fold.test) == ["2019-01-01", "2019-03-27"]


def test_dates_of_one_day_hold_all_its_times() -> None:
    hours = np.arange(np.datetime64("2024-01-01", "h"), np.datetime64("2024-01-05", "h"))
    calendar = hours.astype("datetime64[ns]").astype(np.int64)

    [fold] = make_dated_folds(
        calendar,
        "timestamp",
        [Dated(train=("2024-01-01", "2024-01-02"), valid_to="2024-01-03", test_to="2024-01-04T06")],
    )

    assert (fold.train, fold.valid, fold.test) == ((0, 48), (48, 72), (72, 79))


def test_spans_may_be_written_small_and_a_gap_is_left_unused() -> None:
    calendar = np.arange(0, 3 * 365) * DAY_NS

    small = make_folds(calendar, "timestamp", Rolling(train="1y", valid="3mo", test="2w"))
    large = make_folds(calendar, "timestamp", Rolling(train="1Y", valid="3M", test="2W"))
    gapped = make_folds(calendar, "timestamp", Rolling(train="1y", valid="3mo", test="2w", gap="5d"))
    counted = make_folds(calendar, "timestamp", Rolling(train=100, valid=20, test=10, gap=2))

    assert small == large
    assert all(fold.valid[0] - fold.train[1] == fold.test[0] - fold.valid[1] == 5 for fold in gapped)
    assert (counted[0].train, counted[0].valid, counted[0].test) == ((0, 100), (102, 122), (124, 134))
    assert counted[1].test == (134, 144)


def test_split_gives_rows_as_scikit_learn_does_and_no_train_target_reaches_into_test(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_dates=120)
    folds = sw.folds(panel, train=40, valid=10, test=20)

    splits = list(folds.split())

    assert len(splits) == len(folds) == folds.get_n_splits() == 3
    for (train, test), fold in zip(splits, folds.folds, strict=True):
        assert (panel.target_end[train].max(axis=1) < fold.test[0]).all()
        assert set(panel.time_index[test].tolist()) <= set(range(*fold.test))
        assert not set(train.tolist()) & set(test.tolist())


def test_the_picture_shows_each_segment_once_a_fold_and_counts_samples(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, num_dates=120)

    text = sw.folds(panel, train=40, valid=10, test=20, lookback=5).describe().splitlines()

    assert len(text) == 3 * 3 + 1
    assert max(len(line) for line in text) <= 80
    assert text[0].index("t") < text[0].index("x") < text[0].index("v") < text[0].index("T")
    assert text[0].split()[1].startswith("t" * 20)
    assert "2019-04-14 | 2019-05-24 | 2019-06-03 to 2019-06-22" in text[1]
    assert "purged" in text[2]


def test_what_is_no_date_or_out_of_order_is_refused_by_name(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    with pytest.raises(ConfigError, match=r"folds\.dates: not a date, found 'soon'\. Write for example 2018-10-31"):
        sw.folds(panel, dates=[Dated(train=("2019-04-14", "soon"), valid_to="2019-06-01", test_to="2019-07-01")])
    with pytest.raises(ConfigError, match=r"folds\.valid: the segment of fold 0 holds no date"):
        sw.folds(panel, dates=[Dated(train=("2019-04-14", "2019-06-01"), valid_to="2019-05-01", test_to="2019-07-01")])
    with pytest.raises(ConfigError, match="needs train, valid and test"):
        sw.folds(panel, train=5)
