"""The environment of a stage's process: allocators that give memory back, and no more threads than planned."""

import ctypes
import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def allocator_environment(
    num_threads: int = 1, *, reuses_buffers: bool = False, one_arena: bool = False
) -> dict[str, str]:
    """Give the environment variables a stage's process is started with, to be laid over the inherited ones.

    Arrow's own allocator keeps freed memory and reserves 1 GiB of address space; the system's, told to hand back every
    64 KiB, took 15-25 % off the peak of a join. Every thread of a numeric library brings its own buffers, so their
    number is part of the plan. String hashing is fixed so that no order of a set can differ between two runs.

    A stage that asks for the same buffers at every step (``reuses_buffers``: training) must not hand them back each
    time: with the threshold above, training spent 2.9 of 6.3 CPU seconds in the kernel, with 64 MiB 0.1 of 2.7.
    Parsing in threads does too, and there each thread would keep freed memory of its own: ``one_arena`` makes them
    share it.
    """
    threads = str(num_threads)
    return {
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "MALLOC_TRIM_THRESHOLD_": "67108864" if reuses_buffers else "65536",
        **({"MALLOC_MMAP_THRESHOLD_": "33554432"} if reuses_buffers else {}),
        **({"MALLOC_ARENA_MAX": "1"} if one_arena else {}),
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "NUMEXPR_NUM_THREADS": threads,
        "VECLIB_MAXIMUM_THREADS": threads,
        "PYTHONHASHSEED": "0",
    }


def available_cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


GIVE_BACK_BATCHES = 8
"""A validation of 35 batches grew by 90 MiB in one run of four without, by 50 at 16, by 20 at 8, which costs 0.5 ms a
batch of 6."""


def giving_back(batches: Iterable[T]) -> Iterator[T]:
    """Give batches one by one, and hand free memory back before the first, after every few, and after the last.

    Buffers are aligned, and glibc before 2.38 cannot put an aligned buffer into the hole that one of its size has left
    once a small object lies beside it: the heap then grows with every batch, by chance, and only pages of free holes
    can be returned.
    """
    for number, batch in enumerate(batches):
        if number % GIVE_BACK_BATCHES == 0:
            give_back_free_memory()
        yield batch
    give_back_free_memory()


def give_back_free_memory() -> None:
    """Ask the C library to hand what it keeps back to the kernel, where it can (glibc): one pass of a stage is over."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
