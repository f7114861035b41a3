"""What ingest saw and did, counted over buckets: gaps, jumps, breaks, missing and constant columns."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from seawall.arrays import AnyArray, Float32, Float64, Int64
from seawall.ingest.roles import NEUTRAL

MAX_LISTED = 50
"""Suspicious jumps listed by name; all are counted. Scale breaks are all listed: they change prices."""

JUMP_RATIO = 1.5
"""A move of the adjusted price beyond +50 % or -33 % between two rows is listed for a look, and left as it is."""

STORED_ROWS = 4096
"""Rows of computed features looked at together."""

_FLOAT32 = np.finfo(np.float32)

_BY_FEATURE = ("missing", "infinite", "lossy", "lowest", "highest")
"""Counts with one number a feature."""


def look_alikes(names: Iterable[str]) -> list[list[str]]:
    """Group names that differ only in case, spaces, or how Unicode spells a letter; memory is one text a name.

    Returns
    -------
    list of lists
        At most 50 groups of two names or more, in order of their first name.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault("".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    return [group for group in groups.values() if len(group) > 1][:MAX_LISTED]


@dataclass(slots=True)
class Quality:
    """Running counts; one instance sees every bucket."""

    feature_names: list[str]
    rows: int = 0
    duplicates: int = 0
    num_gaps: int = 0
    longest_gap_dates: int = 0
    missing: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    infinite: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    lossy: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    lowest: Float64 = field(default_factory=lambda: np.zeros(0))
    highest: Float64 = field(default_factory=lambda: np.zeros(0))
    scale_breaks: list[dict[str, Any]] = field(default_factory=list)
    jumps: list[dict[str, Any]] = field(default_factory=list)
    num_jumps: int = 0
    universe_rows: int = 0
    num_adjusted_rows: int = 0
    """Rows at which an adjustment column changes."""
    prices: dict[str, dict[str, int]] = field(default_factory=dict)
    roles: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        width = len(self.feature_names)
        self.missing, self.infinite, self.lossy = (np.zeros(width, np.int64) for _ in range(3))
        self.lowest, self.highest = np.full(width, np.inf), np.full(width, -np.inf)

    def see_columns(self, values_FN: Float64, places: Sequence[int]) -> Float32:
        """Count missing, infinite and lossy values of the features at ``places``, and cast them.

        Returns
        -------
        float32 [F, N]
            Infinite values, and those too large for float32, are NaN.
        """
        if not values_FN.size:
            return values_FN.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = np.fmin.reduce(values_FN, axis=1), np.fmax.reduce(values_FN, axis=1)
            cast = values_FN.astype(np.float32)
        special = np.maximum(np.abs(low), np.abs(high)) > _FLOAT32.max
        special |= (np.abs(cast) < _FLOAT32.tiny).any(axis=1)
        whole = np.array(places)
        self.missing[whole[~special]] += np.isnan(cast[~special] if special.any() else cast).sum(axis=1)
        self.lowest[whole] = np.fmin(self.lowest[whole], np.where(special, np.nan, low))
        self.highest[whole] = np.fmax(self.highest[whole], np.where(special, np.nan, high))
        for row in np.flatnonzero(special).tolist():
            self._see_exactly(values_FN[row], places[row])
            cast[row][np.isinf(cast[row])] = np.nan
        return cast

    def _see_exactly(self, values: Float64, place: int) -> None:
        """Look at each value: some are infinite, too large, or zero or so small that the cast may lose them."""
        infinite = np.isinf(values)
        finite = values[~infinite & ~np.isnan(values)]
        self.infinite[place] += infinite.sum()
        self.missing[place] += len(values) - len(finite)
        with np.errstate(over="ignore"):
            error = np.abs(finite.astype(np.float32) - finite)
        self.lossy[place] += (error > 1e-6 * np.abs(finite)).sum()
        self.lowest[place] = finite.min(initial=self.lowest[place])
        self.highest[place] = finite.max(initial=self.highest[place])

    def take_counts(self, other: "Quality", place: int, other_place: int) -> None:
        """Take over what another instance has counted about a feature."""
        for kind in _BY_FEATURE:
            getattr(self, kind)[place] = getattr(other, kind)[other_place]

    def copy_counts(self) -> "Quality":
        """Copy the counts of features."""
        copy = Quality(list(self.feature_names))
        for place in range(len(self.feature_names)):
            copy.take_counts(self, place, place)
        return copy

    def see_stored(self, stored: Float32, first: int, stop: int) -> None:
        """Count missing values of columns that were computed as float32; memory is a block of rows."""
        for begin in range(0, len(stored), STORED_ROWS):
            block = stored[begin : begin + STORED_ROWS, first:stop]
            self.missing[first:stop] += np.isnan(block).sum(axis=0)
            np.fmin(self.lowest[first:stop], np.fmin.reduce(block, axis=0), out=self.lowest[first:stop])
            np.fmax(self.highest[first:stop], np.fmax.reduce(block, axis=0), out=self.highest[first:stop])

    def see_price(self, name: str, values: Float64) -> None:
        """Count values of a price column that no price has: zero, negative, infinite; and missing ones."""
        counts = self.prices.setdefault(name, {"zero": 0, "negative": 0, "infinite": 0, "missing": 0})
        counts["zero"] += int((values == 0).sum())
        counts["negative"] += int((values < 0).sum())
        counts["infinite"] += int(np.isinf(values).sum())
        counts["missing"] += int(np.isnan(values).sum())

    def see_role(self, role: str, column: Float64, stored: AnyArray) -> None:
        """Count rows of a role that are missing, and that are other than the usual 1 or 0."""
        counts = self.roles.setdefault(role, {"missing": 0, "special": 0})
        counts["missing"] += int(np.isnan(column).sum())
        counts["special"] += int((stored != NEUTRAL[role]).sum())

    def see_gaps(self, time_index: Int64, first: AnyArray) -> None:
        """Count places where an entity skips dates of the calendar."""
        skipped = np.diff(time_index, prepend=0) - 1
        skipped[first] = 0
        self.num_gaps += int((skipped > 0).sum())
        self.longest_gap_dates = max(self.longest_gap_dates, int(skipped.max(initial=0)))

    def see_jump(self, entity: str, time: str, ratio: float) -> None:
        """List one suspicious move, keeping the largest."""
        self.jumps.append({"entity": entity, "time": time, "ratio": ratio})
        if len(self.jumps) > 4 * MAX_LISTED:
            self._keep_largest()

    def _keep_largest(self) -> None:
        self.jumps.sort(key=lambda jump: (-abs(np.log(jump["ratio"])), jump["entity"], jump["time"]))
        del self.jumps[MAX_LISTED:]

    def state(self) -> tuple[dict[str, Any], dict[str, AnyArray]]:
        """Give all counts as plain JSON values and arrays."""
        arrays: dict[str, AnyArray] = {name: getattr(self, name) for name in _BY_FEATURE}
        names = (field.name for field in fields(self))
        return {name: getattr(self, name) for name in names if name not in arrays}, arrays

    @classmethod
    def of_state(cls, record: Mapping[str, Any], arrays: Mapping[str, AnyArray]) -> "Quality":
        """Rebuild counts from what :meth:`state` gave."""
        quality = cls(list(record["feature_names"]))
        for name, value in {**record, **{name: arrays[name] for name in _BY_FEATURE}}.items():
            setattr(quality, name, value)
        return quality

    def take_over(self, other: "Quality") -> None:
        """Go on with everything another instance has counted."""
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))

    @property
    def all_missing(self) -> list[str]:
        """Features without a single value."""
        return [name for name, count in zip(self.feature_names, self.missing, strict=True) if count == self.rows]

    def record(self) -> dict[str, Any]:
        """Give the counts as plain JSON values."""
        self._keep_largest()
        names = self.feature_names
        constant = [n for n, low, high in zip(names, self.lowest, self.highest, strict=True) if low == high]
        return {
            "duplicates": self.duplicates,
            "num_gaps": self.num_gaps,
            "longest_gap_dates": self.longest_gap_dates,
            "missing_shares": {n: int(m) / max(1, self.rows) for n, m in zip(names, self.missing, strict=True)},
            "infinite_values": {n: int(m) for n, m in zip(names, self.infinite, strict=True) if m},
            "lossy_casts": {n: int(m) for n, m in zip(names, self.lossy, strict=True) if m},
            "constant_columns": constant,
            "scale_breaks": self.scale_breaks,
            "suspicious_jumps": self.jumps,
            "num_suspicious_jumps": self.num_jumps,
            "prices": self.prices,
            "roles": self.roles,
            "num_adjusted_rows": self.num_adjusted_rows,
            "universe_share": self.universe_rows / max(1, self.rows),
        }
