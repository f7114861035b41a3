"""How many distinct times a Parquet source can hold at most, told by its footers and a few of its rows."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Int64


@dataclass(slots=True)
class TimeSpan:
    """First and last time of the footers, and the step between times that were seen; unknown until both are there."""

    first: int | None = None
    last: int | None = None
    step: int = 0
    is_known: bool = True

    @property
    def num_times(self) -> int | None:
        """Times from first to last at the step of those seen; None where it cannot be told."""
        if not self.is_known or not self.step or self.first is None or self.last is None:
            return None
        return (self.last - self.first) // self.step + 1

    def see_footer(self, metadata: pq.FileMetaData, column: str) -> None:
        """Widen the span by a file; a row group that tells no bounds makes the span unknown."""
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            place = next((p for p in range(group.num_columns) if group.column(p).path_in_schema == column), None)
            found = None if place is None else group.column(place).statistics
            if found is None or not found.has_min_max or not isinstance(found.min_raw, int):
                self.is_known = False
                return
            self.first = found.min_raw if self.first is None else min(self.first, found.min_raw)
            self.last = found.max_raw if self.last is None else max(self.last, found.max_raw)

    def see_rows(self, column: pa.ChunkedArray) -> None:
        """Take the step of some rows in their order; call after the footer of their file."""
        if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)) or not self.is_known:
            self.is_known = False
            return
        whole = pa.int32() if pa.types.is_date32(column.type) else pa.int64()
        times: Int64 = column.drop_null().cast(whole).to_numpy().astype(np.int64)
        if not len(times) or self.first is None or self.last is None:
            return
        # Files of another unit than their columns have would not hold the rows within their bounds.
        self.is_known = self.first <= int(times.min()) and int(times.max()) <= self.last
        distinct = np.unique(times)
        self.step = math.gcd(self.step, *np.diff(distinct).tolist(), *((distinct[:1] - self.first).tolist()))
