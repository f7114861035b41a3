"""Pages asked for ahead are there when they are read, and nothing else is; what is read is the same."""

import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from seawall.stores.npy import advise_random, mapping_of
from seawall.stores.read_ahead import AT_MOST_PAGES, COLD_BYTES, ReadAhead

ROWS_PER_PAGE = 512
NUM_ROWS = ROWS_PER_PAGE * 4000
KEPT_PAGES = 32
"""The kernel may not let go of the last pages that each core has touched."""


@pytest.fixture
def mapped(tmp_path: Path) -> np.memmap:
    """A mapped file whose pages are not in memory, advised as the bars of a search are."""
    path = tmp_path / "rows.f8"
    with path.open("wb") as file:
        np.arange(NUM_ROWS, dtype=np.float64).tofile(file)
        os.fsync(file.fileno())
    found = np.memmap(path, np.float64, "r")
    forget_pages(found)
    advise_random(found)
    if cold_reads(found, ROWS_PER_PAGE * np.arange(3000, 3100)) < 100 - KEPT_PAGES:
        pytest.skip("this file system keeps its pages in memory")
    return found


def cold_reads(array: np.memmap, rows: np.ndarray) -> int:
    """Count the pages that had to be waited for; what is read is checked on the way."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
    assert np.array_equal(np.asarray(array[rows]), rows.astype(float))
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt - before


def forget_pages(array: np.memmap) -> None:
    with Path(str(array.filename)).open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cold_process(array: np.memmap, parts: tuple[np.ndarray, ...] = ()) -> ReadAhead:
    """Make one that has seen the process wait for the disk: it asks at once."""
    ahead = ReadAhead(parts or [array])
    cold_reads(array, ROWS_PER_PAGE * np.arange(3600, 3600 + 2 * COLD_BYTES // 4096))
    return ahead


def settle() -> None:
    time.sleep(0.5)  # the requests are answered behind our back


def test_pages_asked_for_are_there_and_the_others_are_not(mapped: np.memmap) -> None:
    asked = ROWS_PER_PAGE * np.arange(10, 800, 3)

    cold_process(mapped).ask(asked, 1)
    settle()

    assert cold_reads(mapped, asked) <= len(asked) // 4, "the kernel may pass over a few"
    assert cold_reads(mapped, asked + ROWS_PER_PAGE) >= len(asked) - KEPT_PAGES


def test_a_run_of_rows_is_asked_for_to_its_end(mapped: np.memmap) -> None:
    starts = np.array([ROWS_PER_PAGE * 20 + 500, NUM_ROWS - ROWS_PER_PAGE * 50])
    cold_process(mapped).ask(starts, 200 * ROWS_PER_PAGE)
    settle()

    assert cold_reads(mapped, ROWS_PER_PAGE * np.arange(20, 221)) <= 50
    assert cold_reads(mapped, ROWS_PER_PAGE * np.arange(3950, 4000)) <= 12
    assert cold_reads(mapped, ROWS_PER_PAGE * np.arange(221, 421)) >= 200 - KEPT_PAGES


def test_a_page_is_asked_for_once(mapped: np.memmap) -> None:
    ahead, rows = cold_process(mapped), ROWS_PER_PAGE * np.arange(5, 205)
    ahead.ask(rows, 1)
    settle()
    forget_pages(mapped)

    cold_reads(mapped, ROWS_PER_PAGE * np.arange(1000, 1150))
    ahead.ask(rows, 1)
    settle()

    assert cold_reads(mapped, rows) >= len(rows) - KEPT_PAGES


def test_a_process_that_reads_nothing_from_disk_does_not_ask_until_it_does(mapped: np.memmap) -> None:
    ahead, rows = ReadAhead([mapped]), ROWS_PER_PAGE * np.arange(5, 205)
    ahead.ask(rows, 1)
    settle()
    assert cold_reads(mapped, rows) >= len(rows) - KEPT_PAGES

    further = rows + 500 * ROWS_PER_PAGE
    ahead.ask(further, 1)
    settle()
    assert cold_reads(mapped, further) <= len(rows) // 4


def test_no_more_is_asked_for_than_a_tight_limit_can_keep(mapped: np.memmap) -> None:
    first, second = mapped[: NUM_ROWS // 2], mapped[NUM_ROWS // 2 :]
    rows = ROWS_PER_PAGE * np.arange(2000)

    cold_process(mapped, (first, second, first, second)).ask(rows, 1)
    settle()

    assert cold_reads(mapped, rows[AT_MOST_PAGES // 4 + 1 :]) >= 900


def test_arrays_in_memory_and_requests_for_nothing_are_left_alone(mapped: np.memmap) -> None:
    in_memory = np.arange(10.0)
    ahead = cold_process(mapped, (in_memory,))

    ahead.ask(np.array([0, 9]), 5)
    cold_process(mapped).ask(np.array([], np.int64), 5)
    settle()

    assert mapping_of(in_memory) is None
    assert cold_reads(mapped, ROWS_PER_PAGE * np.arange(100, 300)) >= 200 - KEPT_PAGES


def test_an_array_that_begins_inside_a_page_is_asked_for_too(mapped: np.memmap) -> None:
    later = mapped[16:]
    asked = ROWS_PER_PAGE * np.arange(10, 800, 3)

    cold_process(mapped, (later,)).ask(asked, 1)
    settle()

    assert cold_reads(mapped, asked + 16) <= len(asked) // 4
