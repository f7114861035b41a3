"""What a process tree holds, measured on processes that hold a known amount."""

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seawall.budget import processes
from seawall.budget.processes import Sample, TreeReader, descendants, own_private_bytes, sample_tree
from seawall.units import MIB

HOLD = "import mmap, sys; {hold}; print('held', flush=True); sys.stdin.read()"
TOLERANCE_BYTES = 6 * MIB


@contextmanager
def child_that(hold: str) -> Iterator[int]:
    """Start Python, let it do ``hold``, and keep it until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD.format(hold=hold)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        yield child.pid
        child.communicate()


def growth_over_a_bare_child(hold: str) -> Sample:
    with child_that("pass") as pid:
        bare = sample_tree(pid)
    with child_that(hold) as pid:
        held = sample_tree(pid)
    return Sample(
        held.private_bytes - bare.private_bytes,
        held.shared_bytes - bare.shared_bytes,
        held.file_bytes - bare.file_bytes,
    )


def test_a_known_allocation_is_measured_as_private() -> None:
    growth = growth_over_a_bare_child(f"x = bytes(b'1' * {100 * MIB})")

    assert abs(growth.private_bytes - 100 * MIB) < TOLERANCE_BYTES
    assert growth.shared_bytes == 0
    assert abs(growth.file_bytes) < TOLERANCE_BYTES


def test_shared_memory_is_measured_apart_and_is_held() -> None:
    growth = growth_over_a_bare_child(f"m = mmap.mmap(-1, {50 * MIB}); m.write(b'1' * {50 * MIB})")

    assert abs(growth.shared_bytes - 50 * MIB) < TOLERANCE_BYTES
    assert growth.held_bytes == growth.private_bytes + growth.shared_bytes


def test_pages_of_a_mapped_file_count_as_file_and_not_as_private(tmp_path: Path) -> None:
    mapped = tmp_path / "mapped"
    mapped.write_bytes(b"1" * 80 * MIB)

    growth = growth_over_a_bare_child(
        f"f = open({str(mapped)!r}, 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ);"
        f" t = sum(m[i] for i in range(0, {80 * MIB}, 4096))"
    )

    assert abs(growth.file_bytes - 80 * MIB) < TOLERANCE_BYTES
    assert growth.held_bytes < TOLERANCE_BYTES


def test_a_tree_that_is_measured_again_and_again_follows_private_shared_and_file_pages(tmp_path: Path) -> None:
    mapped = tmp_path / "mapped"
    mapped.write_bytes(b"1" * 30 * MIB)
    reader = TreeReader(os.getpid())
    before = reader.sample()

    held = b"1" * (40 * MIB)
    with_private = reader.sample()
    shared = mmap.mmap(-1, 20 * MIB)
    shared.write(b"1" * 20 * MIB)
    with_shared = reader.sample()
    with mapped.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as pages:
        assert pages[:: mmap.PAGESIZE] == b"1" * len(pages[:: mmap.PAGESIZE])
        with_file = reader.sample()
    shared.close()
    after = reader.sample()
    reader.close()

    assert abs(with_private.private_bytes - before.private_bytes - len(held)) < TOLERANCE_BYTES
    assert abs(with_shared.shared_bytes - before.shared_bytes - 20 * MIB) < MIB
    # Before Linux 6.2 each thread counts up to 64 changes on its own account, and here a change is 16 pages.
    assert abs(with_file.file_bytes - before.file_bytes - 30 * MIB) < TOLERANCE_BYTES
    assert (with_file.shared_bytes, after.shared_bytes) == (with_shared.shared_bytes, before.shared_bytes)
    assert after.held_bytes <= with_shared.held_bytes


def test_what_a_grandchild_holds_counts() -> None:
    inner = HOLD.format(hold=f"x = bytes(b'1' * {60 * MIB})")

    growth = growth_over_a_bare_child(
        f"import subprocess; p = subprocess.Popen([sys.executable, '-c', {inner!r}],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE); p.stdout.readline()"
    )

    assert 60 * MIB <= growth.private_bytes < 60 * MIB + 3 * TOLERANCE_BYTES


def test_a_process_that_is_gone_counts_as_nothing() -> None:
    with child_that("pass") as pid:
        pass

    assert sample_tree(pid) == Sample(0, 0, 0)


def test_the_scan_of_all_processes_finds_the_same_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    with child_that("pass") as first, child_that("pass") as second:
        by_list = descendants(os.getpid())
        monkeypatch.setattr(processes, "_kernel_lists_children", lambda: False)
        by_scan = descendants(os.getpid())

    assert sorted(by_scan) == sorted(by_list)
    assert {first, second} < set(by_scan)


def test_without_proc_everything_resident_is_reported_as_private(monkeypatch: pytest.MonkeyPatch) -> None:
    with child_that("pass") as pid:
        exact = sample_tree(pid)
        monkeypatch.setattr(processes, "_has_proc", lambda: False)
        portable = sample_tree(pid)
        own = own_private_bytes()

    total = exact.private_bytes + exact.shared_bytes + exact.file_bytes
    assert abs(portable.private_bytes - total) < TOLERANCE_BYTES
    assert (portable.shared_bytes, portable.file_bytes) == (0, 0)
    assert own > 0


def test_own_private_memory_follows_an_allocation() -> None:
    before = own_private_bytes()
    held = b"1" * (40 * MIB)

    assert abs(own_private_bytes() - before - len(held)) < TOLERANCE_BYTES
