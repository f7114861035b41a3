"""Several segments read like one store: every array, in every way a stage reads it, against a plain table."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Int64
from seawall.errors import ConfigError, FormatError
from seawall.stores.npy import write_array
from seawall.stores.panel import Panel
from seawall.stores.panel_writer import EntityBlock, PanelWriter, Publication, check_output
from seawall.stores.segments import ARRAYS
from tests.stores.panels import FULL_SPEC, roles_of, write_tiny
from tests.support import quick_folder

Rows = dict[str, dict[int, int]]
"""Entity to time to a number that stands for all values of the row."""


def rows_of(table: Rows) -> tuple[EntityBlock, Int64]:
    """Build the block of a table whose values are functions of each row's number; targets end one row later."""
    names = sorted(table, key=lambda name: name.encode())
    times = np.array([time for name in names for time in sorted(table[name])])
    number = np.array([table[name][time] for name in names for time in sorted(table[name])], np.float64)
    lengths = np.array([len(table[name]) for name in names])
    ends = np.arange(len(times)) + 1
    ends[np.cumsum(lengths) - 1] = -1
    rows = EntityBlock(
        names=names,
        lengths=lengths,
        times=times,
        features=np.column_stack([number, -number]).astype(np.float32),
        returns=(number / 8)[:, None],
        target_end=ends[:, None],
        prices=(100 + number)[:, None],
        adjustment=number + 1,
        universe=number % 2 == 0,
        roles=roles_of(number),
    )
    return rows, np.unique(times)


def write_base(path: Path, table: Rows) -> None:
    rows, calendar = rows_of(table)
    with PanelWriter(path, FULL_SPEC, calendar) as writer:
        writer.append(rows)
        writer.finish(sources=[], ingest={}, slab_bytes=64)


def write_top(path: Path, table: Rows, first_places: list[int], first_changed: int = 0) -> None:
    rows, calendar = rows_of(table)
    told = Publication(sources=[], ingest={}, first_changed=first_changed, num_new_rows=1)
    with PanelWriter(path, FULL_SPEC, calendar, base=Panel(path).manifest) as writer:
        writer.append(rows)
        writer.finish_append(told, np.array(first_places), slab_bytes=64)


@contextmanager
def panels(steps: list[tuple[Rows, list[int]]], whole: Rows) -> Iterator[tuple[Panel, Panel]]:
    """The panel of several segments, and one segment that holds the same rows."""
    with quick_folder() as folder:
        for number, (table, first_places) in enumerate(steps):
            path = folder / "many.panel"
            if number == 0:
                write_base(path, table)
            else:
                write_top(path, table, first_places)
        write_base(folder / "one.panel", whole)
        yield Panel(folder / "many.panel"), Panel(folder / "one.panel")


updates = st.lists(
    st.dictionaries(
        st.sampled_from("ABCDE"), st.dictionaries(st.integers(0, 20), st.integers(0, 1000), min_size=1), min_size=1
    ),
    min_size=2,
    max_size=5,
)


def stacked(chosen: list[Rows]) -> tuple[list[tuple[Rows, list[int]]], Rows]:
    """Turn updates into segments: each rewrites its entities from the row on whose target its first row makes known."""
    whole: Rows = {}
    steps = []
    for update in chosen:
        segment, places = {}, []
        for name in sorted(update):
            old, new = whole.get(name, {}), update[name]
            start = max((time for time in old if time < min(new)), default=min(new))
            kept = {time: value for time, value in old.items() if time < start}
            segment[name] = {time: value for time, value in old.items() if time >= start} | new
            whole[name] = kept | segment[name]
            places.append(len(kept))
        steps.append((segment, places))
    return steps, whole


@settings(max_examples=40, deadline=None)
@given(updates, st.integers(0, 2**32 - 1))
def test_segments_read_like_the_one_segment_that_holds_the_same_rows(chosen: list[Rows], seed: int) -> None:
    rng = np.random.default_rng(seed)
    with panels(*stacked(chosen)) as (many, one):
        assert many.entities == one.entities
        for name in ("calendar", "offsets", "time_offsets", "by_time"):
            np.testing.assert_array_equal(getattr(many, name)[:], getattr(one, name)[:], err_msg=name)
        n = one.shape.num_rows
        assert many.shape.record() | {"num_pieces": 0} == one.shape.record()
        picked = rng.integers(0, n, (5, 3))
        low, high = sorted(rng.integers(0, n + 1, 2).tolist())
        for name in (*(array for array in ARRAYS if array != "values"),):
            wide, plain = getattr(many, name), getattr(one, name)
            assert (wide.shape, wide.dtype, len(wide)) == (plain.shape, plain.dtype, len(plain))
            np.testing.assert_array_equal(wide[low:high], plain[low:high], err_msg=name)
            np.testing.assert_array_equal(wide[picked], plain[picked], err_msg=name)
            np.testing.assert_array_equal(np.take(wide, picked[0], axis=0), np.take(plain, picked[0], axis=0))
            np.testing.assert_array_equal(np.asarray(wide), plain)
            if plain.ndim == 2:
                np.testing.assert_array_equal(wide[picked[0], 0], plain[picked[0], 0])
        np.testing.assert_array_equal(many.entity_of(picked), one.entity_of(picked))
        places = sorted(rng.integers(0, n + 1, 4).tolist())
        for start, stop in pairwise(places):
            np.testing.assert_array_equal(many.by_time[start:stop], one.by_time[start:stop])
        many.verify()


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A at 1, 2, 3 and B at 1; then A from its third row on, with a fourth, and C."""
    path = tmp_path / "x.panel"
    write_base(path, {"A": {1: 10, 2: 20, 3: 30}, "B": {1: 40}})
    write_top(path, {"A": {3: 31, 5: 50}, "C": {5: 60}}, [2, 0], first_changed=3)
    return path


def test_a_range_inside_one_segment_is_a_view(two: Path) -> None:
    panel = Panel(two)
    assert panel.prices[panel.entity("A").slice][:, 0].tolist() == [110, 120, 131, 150]
    assert panel.entity("A").times.tolist() == [1, 2, 3, 5]
    inside = panel.read("features", 0, 2)
    assert np.shares_memory(inside, panel.features.parts[0])  # type: ignore[attr-defined] # it has several segments
    with pytest.raises(IndexError):
        panel.features[np.array([6])]
    with pytest.raises(ConfigError, match="unknown entity, found 'a'"):
        panel.entity("a")


def test_rows_and_entities_are_views_that_read_nothing_until_an_array_is_asked_for(tmp_path: Path) -> None:
    write_base(tmp_path / "x.panel", {"0008": {1: 10, 2: 20, 3: 30}, "8675309": {1: 40, 4: 50}})
    panel = Panel(tmp_path / "x.panel")

    mine, inside = panel.entity("8675309"), panel.rows(1, 4)

    assert "features" not in vars(panel)
    assert (mine.slice, len(mine), len(inside), len(panel.rows(3, 99))) == (slice(3, 5), 2, 3, 2)
    assert mine.times.tolist() == [1, 4]
    assert mine["close"].tolist() == mine.prices[:, 0].tolist() == [140, 150]
    assert (mine.universe.tolist(), mine.adjustment.tolist()) == ([True, True], [41, 51])
    for array in ("features", "targets", "target_end", "prices", "time_index"):
        assert np.shares_memory(getattr(mine, array), getattr(panel, array))
        np.testing.assert_array_equal(getattr(inside, array), getattr(panel, array)[1:4])
    with pytest.raises(ConfigError, match="unknown column, found 'clos'"):
        mine["clos"]


def test_indexes_into_the_calendar_are_those_of_all_segments(two: Path) -> None:
    panel = Panel(two)
    assert panel.calendar.tolist() == [1, 2, 3, 5]
    assert panel.time_index[:].tolist() == [0, 1, 2, 3, 0, 3]
    assert panel.target_end[:].tolist() == [[1], [2], [3], [-1], [-1], [-1]]
    panel.advise_random("features", "time_index")
    assert "rows=6, entities=3, dates=4" in repr(panel)


def test_the_key_before_a_date_does_not_know_what_was_appended_later(two: Path, tmp_path: Path) -> None:
    panel = Panel(two)
    write_base(tmp_path / "old.panel", {"A": {1: 10, 2: 20, 3: 30}, "B": {1: 40}})
    old = Panel(tmp_path / "old.panel")
    keys = [panel.content_key_before(date) for date in range(5)]
    assert keys[:3] == [old.content_key_before(0)] * 3 == [old.content_key_before(3)] * 3
    assert keys[3] == keys[4] != keys[0], "the first change lies at the third date"
    assert panel.content_key != old.content_key


def test_a_store_with_appended_rows_is_not_replaced_by_an_ingest(two: Path) -> None:
    with pytest.raises(ConfigError, match=r"rows were appended to this store.*found 1 appends"):
        write_tiny(two)
    check_output(two, continues=True)
    Panel(two).verify()


def test_a_segment_that_leaves_a_hole_is_refused(two: Path) -> None:
    place = two / "seg-000001" / "first_places.npy"
    write_array(place, np.array([4, 0]))
    with pytest.raises(FormatError, match="does not join the older ones, found seg-000001"):
        _ = Panel(two).offsets
    write_array(place, np.array([3, 0]))
    with pytest.raises(FormatError, match="do not match the manifest, found 7 rows of 3 entities"):
        _ = Panel(two).features


@pytest.mark.parametrize("missing", ["num_rows", "num_entities", "num_dates"])
def test_segments_without_counts_are_refused(two: Path, missing: str) -> None:
    manifest: dict[str, Any] = Panel(two).manifest
    del manifest["segments"][1][missing]
    (two / "panel.json").write_text(json.dumps(manifest))
    with pytest.raises(FormatError, match="damaged manifest"):
        Panel(two)
