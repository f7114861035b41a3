"""How far the sources are from being sorted: rows that come after a later one of their entity."""

from dataclasses import dataclass, field

import numpy as np

from seawall.arrays import Int64

_NEVER = np.iinfo(np.int64).min


@dataclass(slots=True)
class Disorder:
    """Count rows whose time lies before that of the row of the same entity that came last; 8 bytes an entity."""

    num_rows: int = 0
    last_times: Int64 = field(default_factory=lambda: np.empty(0, np.int64))

    def see(self, codes: Int64, times: Int64) -> None:
        """Look at the next rows as they come."""
        if not len(codes):
            return
        highest = int(codes.max())
        missing = highest + 1 - len(self.last_times)
        if missing > 0:
            more = max(missing, len(self.last_times))
            self.last_times = np.append(self.last_times, np.full(more, _NEVER))
        if (times[1:] >= times[:-1]).all():  # by date: only earlier blocks can hold a later row
            if times[0] < self.last_times.max():  # of an entity's rows here only the first follows an earlier block
                self.num_rows += len(np.unique(codes[times < self.last_times[codes]]))
            self.last_times[codes] = times  # of several rows of an entity, the last one stays
            return
        order = np.argsort(codes.astype(np.uint16) if highest <= np.iinfo(np.uint16).max else codes, kind="stable")
        codes, times = codes[order], times[order]
        is_first = np.append(True, codes[1:] != codes[:-1])
        before = np.append(_NEVER, times[:-1])
        before[is_first] = self.last_times[codes[is_first]]
        self.num_rows += int((times < before).sum())
        self.last_times[codes[np.append(is_first[1:], True)]] = times[np.append(is_first[1:], True)]

    def forget(self) -> None:
        """Begin anew, as where another file holds other fields of the same rows."""
        self.last_times = np.empty(0, np.int64)

    def copy(self) -> "Disorder":
        """Copy what was counted."""
        return Disorder(self.num_rows, self.last_times.copy())
