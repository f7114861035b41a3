"""Legal samples equal a plain list of rows, purge at both borders, and reach back but never forward."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.stores.npy import HEADER_BYTES
from seawall.stores.panel import Panel, TargetSpec
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter
from seawall.windows import samples as samples_file
from seawall.windows.samples import Samples, date_major_rows, rows_in_segment, select_samples
from tests.support import make_panel, quick_folder


def write_panel(folder: Path, dates_of: list[list[int]], *, horizon: int = 2, num_dates: int | None = None) -> Panel:
    """Entities present on given dates of an integer calendar; the target ends ``horizon`` own rows later."""
    calendar = np.arange(num_dates or max(max(dates) for dates in dates_of) + 1)
    spec = PanelSpec(
        calendar_kind="step",
        columns=(ColumnSpec("f", "features", "float32"), ColumnSpec("y", "targets", "float32")),
        targets=(TargetSpec("y", "forward_return", "close", horizon, 0),),
    )
    with PanelWriter(folder / "w.panel", spec, calendar) as writer:
        for number, dates in enumerate(dates_of):
            n = len(dates)
            ends = np.arange(n) + horizon
            writer.append(
                EntityBlock(
                    names=[f"E{number:03d}"],
                    lengths=np.array([n]),
                    times=np.array(dates),
                    features=np.ones((n, 1), np.float32),
                    returns=np.where(ends < n, 0.01, np.nan)[:, None],
                    target_end=np.where(ends < n, ends, -1)[:, None],
                    prices=np.empty((n, 0)),
                    adjustment=np.ones(n),
                    universe=np.ones(n, bool),
                )
            )
        writer.finish(sources=[], ingest={}, slab_bytes=4096)
    return Panel(folder / "w.panel")


def leave_universe(panel: Panel, rows: list[int]) -> Panel:
    path = next(panel.path.glob("seg-*/universe.npy"))
    mapped = np.memmap(path, np.uint8, "r+", offset=HEADER_BYTES)
    mapped[rows] = 0
    mapped.flush()
    return Panel(panel.path)


def all_rows(samples: Samples) -> list[int]:
    return [row for block in samples.blocks(7) for row in block.tolist()]


def plain_list(
    panel: Panel, segment: tuple[int, int], lookback: int, known_before: int | None
) -> tuple[list[int], int, int]:
    legal, num_purged, num_missing = [], 0, 0
    for entity in range(panel.shape.num_entities):
        for row in range(int(panel.offsets[entity]), int(panel.offsets[entity + 1])):
            if not segment[0] <= panel.time_index[row] < segment[1] or not panel.universe[row]:
                continue
            if row - int(panel.offsets[entity]) + 1 < lookback:
                continue
            if known_before is None:
                legal.append(row)
            elif panel.target_end[row, 0] >= known_before:
                num_purged += 1
            elif panel.target_end[row, 0] < 0 or np.isnan(panel.targets[row, 0]):
                num_missing += 1
            else:
                legal.append(row)
    return legal, num_purged, num_missing


PRESENT = st.lists(st.sets(st.integers(0, 29), min_size=1).map(sorted), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    dates_of=PRESENT,
    segment=st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: (min(pair), max(pair))),
    lookback=st.integers(1, 6),
    horizon=st.integers(1, 3),
    known_before=st.one_of(st.none(), st.integers(0, 30)),
    out=st.sets(st.integers(0, 10_000), max_size=8),
)
def test_samples_equal_a_plain_list_of_rows(
    dates_of: list[list[int]],
    segment: tuple[int, int],
    lookback: int,
    horizon: int,
    known_before: int | None,
    out: set[int],
) -> None:
    with quick_folder() as folder:
        panel = write_panel(folder, dates_of, horizon=horizon, num_dates=30)
        panel = leave_universe(panel, [row % panel.shape.num_rows for row in out])

        chosen = select_samples(panel, segment, lookback, targets=(0,), known_before=known_before)

        rows, num_purged, num_missing = plain_list(panel, segment, lookback, known_before)
        assert all_rows(chosen) == rows
        assert (chosen.num_samples, chosen.num_purged, chosen.num_missing) == (len(rows), num_purged, num_missing)
        assert chosen.rows(np.arange(len(rows))).tolist() == rows
        every = np.arange(panel.shape.num_rows)
        assert np.flatnonzero(chosen.contains(every)).tolist() == rows
        by_time = sorted(rows, key=lambda row: (panel.time_index[row], row))
        assert date_major_rows(panel, chosen, segment).tolist() == by_time


def test_the_size_of_a_block_changes_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = make_panel(tmp_path)
    whole = select_samples(panel, (30, 90), 5, targets=(0,), known_before=90)

    monkeypatch.setattr(samples_file, "BLOCK_ROWS", 7)
    monkeypatch.setattr(Samples.blocks, "__defaults__", (7,))
    small = select_samples(panel, (30, 90), 5, targets=(0,), known_before=90)

    assert whole.first_rows.tolist() == small.first_rows.tolist()
    assert whole.before.tolist() == small.before.tolist()


def test_a_suspended_entity_is_purged_by_the_date_its_target_ends_not_by_counting_rows(tmp_path: Path) -> None:
    # E000 trades every day; E001 is suspended from date 8 to date 24, so its row of date 7 ends at date 26.
    panel = write_panel(tmp_path, [list(range(40)), [*range(8), *range(25, 40)]], horizon=2)
    train, valid = (0, 20), (20, 30)

    learnt = select_samples(panel, train, 3, targets=(0,), known_before=valid[0])
    judged = select_samples(panel, valid, 3, targets=(0,), known_before=30)

    dates = {name: panel.time_index[all_rows(s)].tolist() for name, s in (("learnt", learnt), ("judged", judged))}
    suspended = [row >= 40 for row in all_rows(learnt)]
    assert max(dates["learnt"]) == 17
    assert [d for d, s in zip(dates["learnt"], suspended, strict=True) if s] == [2, 3, 4, 5]
    assert learnt.num_purged == 2 + 2  # dates 18, 19 of E000; dates 6, 7 of E001
    assert max(dates["judged"]) == 27
    assert judged.num_purged == 2 + 2
    for samples, border in ((learnt, 20), (judged, 30)):
        assert (panel.target_end[all_rows(samples), 0] < border).all()


def test_rows_without_a_target_are_left_out_and_counted_apart_from_purged_ones(tmp_path: Path) -> None:
    panel = write_panel(tmp_path, [list(range(20))], horizon=3)

    chosen = select_samples(panel, (0, 20), 1, targets=(0,), known_before=19)

    assert (chosen.num_samples, chosen.num_purged, chosen.num_missing) == (16, 1, 3)


def test_test_rows_are_kept_whether_or_not_their_target_is_known(tmp_path: Path) -> None:
    panel = write_panel(tmp_path, [list(range(20))], horizon=3)

    assert all_rows(select_samples(panel, (10, 20), 4)) == list(range(10, 20))


def test_a_lookback_reaches_back_across_the_start_of_the_segment(tmp_path: Path) -> None:
    panel = write_panel(tmp_path, [list(range(20))])

    assert all_rows(select_samples(panel, (10, 12), 8)) == [10, 11]
    assert all_rows(select_samples(panel, (5, 12), 8)) == [7, 8, 9, 10, 11]


def test_rows_outside_the_universe_are_no_samples_but_are_seen_in_lookbacks(tmp_path: Path) -> None:
    panel = leave_universe(write_panel(tmp_path, [list(range(10))]), [4, 5])

    assert all_rows(select_samples(panel, (0, 10), 3)) == [2, 3, 6, 7, 8, 9]
    assert all_rows(rows_in_segment(panel, (4, 7))) == [6]


def test_memory_grows_with_breaks_and_not_with_rows(tmp_path: Path) -> None:
    few = write_panel(tmp_path / "a", [list(range(50))])
    many = write_panel(tmp_path / "b", [list(range(5000))])

    runs = [len(select_samples(panel, (0, panel.shape.num_dates), 10).first_rows) for panel in (few, many)]

    assert runs == [1, 1]
