"""Split bucket files that came out much larger than planned, now that the rows of each entity are known."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from seawall.arrays import AnyArray, Int64

MAX_PARTS = 256
"""Files open at once; more parts are made by splitting the parts again."""


def even_buckets(paths: Sequence[Path], rank_of_code: Int64, bucket_bytes: int, dtype: np.dtype) -> list[Path]:
    """Split every bucket beyond ``bucket_bytes`` into ranges of whole entities that fit.

    Memory is ``bucket_bytes / 4`` and a few numbers an entity.

    Parameters
    ----------
    rank_of_code
        int64 [codes], place of each entity code in the byte order of names.
    dtype
        Layout of a row, see :func:`seawall.ingest.scatter.record_dtype`.

    Returns
    -------
    list of Path
        In the order of ranks. Only a part that is one single entity may be larger than ``bucket_bytes``.
    """
    even: list[Path] = []
    for path in paths:
        is_large = path.stat().st_size > bucket_bytes
        parts = _split(path, rank_of_code, bucket_bytes, dtype) if is_large else [path]
        even += parts if len(parts) == 1 else even_buckets(parts, rank_of_code, bucket_bytes, dtype)
    return even


def _split(path: Path, rank_of_code: Int64, bucket_bytes: int, dtype: np.dtype) -> list[Path]:
    rows_per_read = max(1, bucket_bytes // 4 // dtype.itemsize)
    part_bytes = max(bucket_bytes, path.stat().st_size // MAX_PARTS + 1)
    per_rank = np.zeros(len(rank_of_code), np.int64)
    for records in _records(path, dtype, rows_per_read):
        per_rank += np.bincount(rank_of_code[records["code"]], minlength=len(per_rank))
    part_of_rank = _parts(per_rank, max(1, part_bytes // dtype.itemsize))
    parts = [path.with_name(f"{path.name}.{number:03d}") for number in range(int(part_of_rank.max()) + 1)]
    files = [part.open("wb") for part in parts]
    try:
        for records in _records(path, dtype, rows_per_read):
            part_of_row = part_of_rank[rank_of_code[records["code"]]]
            for part in np.unique(part_of_row):
                files[part].write(records[part_of_row == part].tobytes())
    finally:
        for file in files:
            file.close()
    path.unlink()
    return parts


def _parts(per_rank: Int64, rows_per_part: int) -> Int64:
    """Give each entity with rows its part: as many entities in each as fit, one at least."""
    present = np.flatnonzero(per_rank)
    ends = np.cumsum(per_rank[present])
    part_of_rank = np.full(len(per_rank), -1, np.int64)
    first, number = 0, 0
    while first < len(present):
        room = (ends[first - 1] if first else 0) + rows_per_part
        stop = max(first + 1, int(np.searchsorted(ends, room, side="right")))
        part_of_rank[present[first:stop]] = number
        first, number = stop, number + 1
    return part_of_rank


def _records(path: Path, dtype: np.dtype, rows_per_read: int) -> Iterator[AnyArray]:
    with path.open("rb") as file:
        while len(records := np.fromfile(file, dtype, rows_per_read)):
            yield records
