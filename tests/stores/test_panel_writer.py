import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.errors import ConfigError, DataError
from seawall.stores import by_time
from seawall.stores.npy import HEADER_BYTES
from seawall.stores.panel import Panel
from seawall.stores.panel_writer import EntityBlock, PanelWriter, check_output
from tests.stores.panels import SPEC, TINY_CALENDAR, block, tiny_block, write_tiny
from tests.support import make_panel, quick_folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_tiny_panel_is_written_to_the_byte(tmp_path: Path) -> None:
    manifest = write_tiny(tmp_path / "tiny.panel")
    golden = {
        "features.npy": np.array([[0, -0.0], [1, -1], [2, -2], [3, -3], [4, -4]], "<f4"),
        "targets.npy": np.array([[0.0], [0.125], [0.25], [0.375], [0.5]], "<f4"),
        "target_end.npy": np.array([[3], [-1], [-1], [-1], [-1]], "<i4"),
        "returns.npy": np.array([[0.0], [0.125], [0.25], [0.375], [0.5]], "<f8"),
        "prices.npy": np.array([[100.0], [101.0], [102.0], [103.0], [104.0]], "<f8"),
        "adjustment.npy": np.ones(5, "<f8"),
        "universe.npy": np.array([1, 0, 1, 0, 1], "|u1"),
        "time_index.npy": np.array([0, 1, 3, 1, 2], "<i4"),
        "calendar.npy": np.array([10, 20, 30, 40], "<i8"),
        "offsets.npy": np.array([0, 3, 5], "<i8"),
        "by_time.npy": np.array([0, 1, 3, 4, 2], "<i8"),
        "time_offsets.npy": np.array([0, 1, 3, 4, 5], "<i8"),
    }
    segment = tmp_path / "tiny.panel" / "seg-000000"
    for name, array in golden.items():
        written = (segment / name).read_bytes()
        assert len(written) == HEADER_BYTES + array.nbytes
        assert written[HEADER_BYTES:] == array.tobytes(), name
        np.testing.assert_array_equal(np.load(segment / name), array)
    assert pq.read_table(segment / "entities.parquet").to_pydict() == {"entity": ["A", "B"]}
    assert sorted(path.name for path in segment.iterdir()) == sorted([*golden, "entities.parquet"])
    assert sorted(path.name for path in segment.parent.iterdir()) == ["panel.json", "seg-000000"]
    assert manifest["content_key"] == "479b08a257c774fbf7098adbb8543d77"


def test_the_manifest_holds_what_planning_needs(tmp_path: Path) -> None:
    write_tiny(tmp_path / "tiny.panel")
    panel = Panel(tmp_path / "tiny.panel")
    shape = panel.shape
    assert (shape.num_rows, shape.num_entities, shape.num_dates) == (5, 2, 4)
    assert (shape.num_features, shape.num_targets, shape.num_prices) == (2, 1, 1)
    assert (shape.max_rows_per_entity, shape.max_rows_per_date) == (3, 2)
    on_disk = sum(path.stat().st_size - HEADER_BYTES for path in (tmp_path / "tiny.panel").rglob("*.npy"))
    assert shape.store_bytes == pytest.approx(on_disk, abs=64)


ragged_panels = st.lists(st.sets(st.integers(0, 30), min_size=1), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)  # it waits for disks, which others use too
@given(ragged_panels, st.sampled_from([1, 8, 24, 64, 200, 10**6]), st.sampled_from([1, 3, 7, 10**6]))
def test_rows_by_time_are_a_stable_sort_and_the_key_does_not_know_the_slabs(
    times_of_entity: list[set[int]], slab_bytes: int, index_rows: int
) -> None:
    times = np.array([time for times in times_of_entity for time in sorted(times)])
    calendar = np.unique(times)
    names = [f"E{number:02d}" for number in range(len(times_of_entity))]
    rows = block(names, [len(times) for times in times_of_entity], times)
    entity = np.repeat(np.arange(len(names)), rows.lengths)
    with quick_folder() as folder, pytest.MonkeyPatch.context() as patch:
        keys = set()
        for name, slab, read in (("one", 10**6, 10**6), ("other", slab_bytes, index_rows)):
            patch.setattr(by_time, "INDEX_ROWS", read)
            with PanelWriter(folder / f"{name}.panel", SPEC, calendar) as writer:
                writer.append(rows)
                keys.add(writer.finish(sources=[], ingest={}, slab_bytes=slab)["content_key"])
            panel = Panel(folder / f"{name}.panel")
            np.testing.assert_array_equal(panel.by_time, np.lexsort((entity, times)))
            np.testing.assert_array_equal(np.diff(panel.time_offsets), np.unique(times, return_counts=True)[1])
            np.testing.assert_array_equal(panel.calendar[panel.time_index], times)
            np.testing.assert_array_equal(panel.entity_of(np.arange(len(times))), entity)
        assert len(keys) == 1


def test_entities_may_come_in_any_number_of_blocks(tmp_path: Path) -> None:
    whole = write_tiny(tmp_path / "whole.panel")
    rows = tiny_block()
    with PanelWriter(tmp_path / "parts.panel", SPEC, TINY_CALENDAR) as writer:
        for part, names, lengths in ((slice(0, 3), ["A"], [3]), (slice(3, 5), ["B"], [2])):
            fields = {name: getattr(rows, name)[part] for name in ("times", "features", "returns", "target_end")}
            more = {name: getattr(rows, name)[part] for name in ("prices", "adjustment", "universe")}
            writer.append(type(rows)(names=names, lengths=np.array(lengths), **fields, **more))
        parts = writer.finish(sources=[], ingest={}, slab_bytes=4096)
    assert parts["content_key"] == whole["content_key"]


def test_the_content_key_knows_values_names_and_meaning_but_not_sources(tmp_path: Path) -> None:
    base = write_tiny(tmp_path / "a.panel")["content_key"]
    assert write_tiny(tmp_path / "b.panel", shift=1e-9)["content_key"] != base
    renamed = tiny_block()
    renamed.names[1] = "C"
    with PanelWriter(tmp_path / "c.panel", SPEC, TINY_CALENDAR) as writer:
        writer.append(renamed)
        assert writer.finish(sources=[], ingest={}, slab_bytes=64)["content_key"] != base
    with PanelWriter(tmp_path / "d.panel", SPEC, TINY_CALENDAR) as writer:
        writer.append(tiny_block())
        record = {"path": "x.csv", "bytes": 1, "modified_ns": 2, "edges_xxh3_64": "3"}
        assert writer.finish(sources=[record], ingest={"rows_read": 5}, slab_bytes=64)["content_key"] == base


def append(path: Path, *blocks: EntityBlock) -> None:
    with PanelWriter(path, SPEC, TINY_CALENDAR) as writer:
        for rows in blocks:
            writer.append(rows)


@pytest.mark.parametrize("names", [["B", "A"], ["A", "A"], ["a", "B"], ["\u00e9", "z"]])
def test_entities_out_of_byte_order_or_twice_are_refused(tmp_path: Path, names: list[str]) -> None:
    rows = tiny_block()
    rows.names[:] = names
    with pytest.raises(DataError, match="once and in byte order"):
        append(tmp_path / "x.panel", rows)
    assert list(tmp_path.iterdir()) == []


def test_entities_out_of_order_over_blocks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'B' after 'B'"):
        append(tmp_path / "x.panel", tiny_block(), block(["B"], [1], np.array([10])))


def test_an_old_store_stays_readable_until_the_new_one_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "x.panel"
    write_tiny(path)
    old = Panel(path)
    with PanelWriter(path, SPEC, TINY_CALENDAR) as writer:
        writer.append(block(["Z"], [1], np.array([10])))
        assert old.prices[:, 0].tolist() == [100, 101, 102, 103, 104]
        Panel(path).verify()
        writer.finish(sources=[], ingest={}, slab_bytes=64)
    assert Panel(path).entities == ["Z"]
    assert old.prices[:, 0].tolist() == [100, 101, 102, 103, 104], "what was mapped before stays mapped"
    assert sorted(p.name for p in path.iterdir()) == ["panel.json", "seg-000001"]


@pytest.mark.parametrize(
    "where", ["write_array", "block_checksums", "pq.write_table", "flush", "json_text", "write_text"]
)
def test_an_exception_anywhere_leaves_the_old_store_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    path = tmp_path / "x.panel"
    write_tiny(path)
    before = contents(tmp_path)

    def fail(*args: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    def write() -> None:
        with PanelWriter(path, SPEC, TINY_CALENDAR) as writer:
            writer.append(block(["Z"], [1], np.array([10])))
            monkeypatch.setattr(f"seawall.stores.panel_writer.{where}", fail)
            writer.finish(sources=[], ingest={}, slab_bytes=64)

    with pytest.raises(OSError, match="No space left"):
        write()
    monkeypatch.undo()
    assert contents(tmp_path) == before
    Panel(path).verify()


def test_an_exception_without_an_old_store_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), PanelWriter(tmp_path / "x.panel", SPEC, TINY_CALENDAR):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from seawall.stores import panel_writer
from tests.stores.panels import SPEC, TINY_CALENDAR, block
place = sys.argv[2]
def die(*args, **named):
    os.kill(os.getpid(), signal.SIGKILL)
with panel_writer.PanelWriter(Path(sys.argv[1]), SPEC, TINY_CALENDAR) as writer:
    writer.append(block(["Z"], [1], np.array([10])))
    setattr(panel_writer, place, die)
    writer.finish(sources=[], ingest={}, slab_bytes=64)
"""


@pytest.mark.parametrize("place", ["block_checksums", "write_text", "remove_segments"])
def test_a_kill_leaves_the_old_store_or_the_new_one_and_the_next_write_clears_up(tmp_path: Path, place: str) -> None:
    path = tmp_path / "x.panel"
    write_tiny(path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), place], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    panel = Panel(path)
    panel.verify()
    assert panel.entities == (["Z"] if place == "remove_segments" else ["A", "B"])
    write_tiny(path)
    assert Panel(path).entities == ["A", "B"]
    assert len(list(path.iterdir())) == 2, "the manifest and one segment"


def test_folders_that_are_not_ours_are_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.panel"
    write_tiny(path)
    for name in ("notes", "seg-mine", "seg-0000000"):
        (path / name).mkdir()
        (path / name / "keep.txt").write_text("keep")
    write_tiny(path)
    assert sorted(p.name for p in path.iterdir()) == sorted(
        ["notes", "panel.json", "seg-000000", "seg-0000000", "seg-mine"]
    )


def test_an_output_that_holds_anything_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    before = contents(tmp_path)
    for name, words in (("thesis", "not a panel store and not empty, found 'chapter.txt'"), ("file", "found a file")):
        with pytest.raises(ConfigError, match=words):
            PanelWriter(tmp_path / name, SPEC, TINY_CALENDAR)
    with pytest.raises(ConfigError, match="found no name"):
        check_output(Path())
    assert contents(tmp_path) == before
    (tmp_path / "empty").mkdir()
    check_output(tmp_path / "empty")
    check_output(tmp_path / "new.panel")


def test_groups_without_columns_have_no_files(tmp_path: Path) -> None:
    spec = type(SPEC)(calendar_kind="step", columns=SPEC.columns[:1], targets=())
    rows = block(["A"], [1], np.array([10]))
    slim = type(rows)(
        names=rows.names,
        lengths=rows.lengths,
        times=rows.times,
        features=rows.features[:, :1],
        returns=np.empty((1, 0)),
        target_end=np.empty((1, 0), np.int64),
        prices=np.empty((1, 0)),
        adjustment=rows.adjustment,
        universe=rows.universe,
    )
    with PanelWriter(tmp_path / "x.panel", spec, TINY_CALENDAR) as writer:
        writer.append(slim)
        writer.finish(sources=[], ingest={}, slab_bytes=64)
    names = {path.name for path in (tmp_path / "x.panel" / "seg-000000").iterdir()}
    assert not names & {"targets.npy", "target_end.npy", "returns.npy", "prices.npy"}
    assert {"adjustment.npy", "universe.npy"} <= names


def test_writing_the_same_content_again_keeps_the_segment_and_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "world.panel"
    make_panel(tmp_path)
    before = {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    (path / "seg-000007").mkdir()  # what a kill between rename and swap leaves

    make_panel(tmp_path)

    assert {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()} == before
    assert not (path / "seg-000007").exists()


def test_other_content_gets_a_segment_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "world.panel"
    make_panel(tmp_path, seed=0)

    make_panel(tmp_path, seed=1).verify()

    assert [p.name for p in path.iterdir() if p.is_dir()] == ["seg-000001"]
