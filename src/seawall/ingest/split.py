"""Read rows set aside back as buckets of whole entities that fit, now that the rows of each entity are known."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seawall.arrays import AnyArray, Int64
from seawall.ingest.spill import Spill
from seawall.stores.counts import count_into


@dataclass(frozen=True, slots=True)
class BucketSize:
    """How many rows a bucket holds, and what is staged while a part is split."""

    max_rows: int
    staging_bytes: int


@dataclass(frozen=True, slots=True)
class LongEntity:
    """Rows of one entity that do not fit into a bucket."""

    spill: Spill
    part: int
    size: BucketSize

    def __len__(self) -> int:
        """Count the rows."""
        return self.spill.num_rows(self.part)

    def whole(self) -> AnyArray:
        """Read all rows at once, in the order they came."""
        return self.spill.read(self.part)

    def pieces(self, calendar: Int64) -> Iterator[AnyArray]:
        """Set the rows aside once more by time, and give them in order of time, ``max_rows`` or so at once.

        Rows of one time are never parted. Memory is one piece, and 16 bytes a date before the first one.
        """
        rows_per_read = max(1, self.size.staging_bytes // 4 // self.spill.dtype.itemsize)
        per_date = np.zeros(len(calendar), np.int64)
        for rows in self.spill.read_slowly(self.part, rows_per_read):
            count_into(per_date, np.searchsorted(calendar, rows["time"]))
        ends = _ends_of_parts(per_date, self.size.max_rows)
        del per_date
        num_parts = len(ends)
        with Spill(_beside(self.spill.path), self.spill.dtype, num_parts, self.size.staging_bytes) as by_time:
            for rows in self.spill.read_slowly(self.part, rows_per_read):
                by_time.add(rows, np.searchsorted(ends, np.searchsorted(calendar, rows["time"]), side="right"))
            by_time.release()
            for number in range(num_parts):
                by_time.fetch_ahead(number + 1)
                yield by_time.read(number)


def even_buckets(
    spill: Spill, rank_of_code: Int64, size: BucketSize, *, first_row: int = 0
) -> Iterator[AnyArray | LongEntity]:
    """Give the rows of all parts as buckets of whole entities, in the order of ranks.

    A part that came out larger than ``max_rows`` is set aside once more, by exact ranges. An entity that holds more
    rows than that is given as a :class:`LongEntity`, for the caller to read while it stands. Memory is
    one bucket, or the staging of a split.

    Parameters
    ----------
    rank_of_code
        int64 [codes], place of each entity code in the byte order of names.
    first_row
        Rows to pass over in the order of ranks: the first so many, which are those of whole entities.
    """
    for part in range(spill.num_parts):
        num_rows = spill.num_rows(part)
        if first_row >= num_rows:
            first_row -= num_rows
        elif num_rows > size.max_rows or first_row:
            yield from _split(spill, part, rank_of_code, size, first_row)
            first_row = 0
        else:
            spill.fetch_ahead(part + 1)
            yield spill.read(part)


def _split(
    spill: Spill, part: int, rank_of_code: Int64, size: BucketSize, first_row: int
) -> Iterator[AnyArray | LongEntity]:
    rows_per_read = max(1, size.staging_bytes // 4 // spill.dtype.itemsize)
    per_rank = np.zeros(len(rank_of_code), np.int64)
    for rows in spill.read_slowly(part, rows_per_read):
        per_rank += np.bincount(rank_of_code[rows["code"]], minlength=len(per_rank))
    per_rank[np.cumsum(per_rank) <= first_row] = 0
    part_of_rank = _parts(per_rank, size.max_rows)
    num_parts = int(part_of_rank.max()) + 1
    if num_parts == 1 and not first_row:
        yield LongEntity(spill, part, size)
        return
    with Spill(_beside(spill.path), spill.dtype, num_parts, size.staging_bytes) as finer:
        for rows in spill.read_slowly(part, rows_per_read):
            parts = part_of_rank[rank_of_code[rows["code"]]]
            if first_row:
                rows, parts = rows[parts >= 0], parts[parts >= 0]
            finer.add(rows, parts)
        finer.release()
        for number in range(num_parts):
            finer.fetch_ahead(number + 1)
            is_long = finer.num_rows(number) > size.max_rows
            yield LongEntity(finer, number, size) if is_long else finer.read(number)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.split")


def _ends_of_parts(per_date: Int64, rows_per_part: int) -> Int64:
    """Cut dates into parts of at most so many rows, one date at least; give the date after the last of each."""
    done = np.cumsum(per_date)
    ends = list[int]()
    while not ends or ends[-1] < len(done):
        first = ends[-1] if ends else 0
        room = (int(done[first - 1]) if first else 0) + rows_per_part
        ends.append(max(first + 1, int(np.searchsorted(done, room, side="right"))))
    return np.array(ends, np.int64)


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
