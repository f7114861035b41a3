"""Match two tables by (time, entity), date by date: a left join whose rows out are its rows in."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Bool, Float64, Int64
from seawall.tables.keyed import KeyedTable, require_unique
from seawall.tables.keys import EntityCodes
from seawall.tables.runs import DuplicatePolicy, RunReader, SortedRows, repeated, without_duplicates


@dataclass(frozen=True, slots=True)
class MatchedRows:
    """Left rows in order of (time, entity), and what the right table has for each."""

    rows: SortedRows
    right: Float64
    """float64 [n, V]; NaN where unmatched, or missing in the right table."""
    matched: Bool
    """bool [n]; whether the right table has the key at all."""


class Matcher:
    """Stream a left table with what a right table has for each of its keys.

    Both are in order already, so memory is a few blocks of whole dates: :class:`~seawall.tables.runs.RunReader`.
    ``num_left_repeated`` and ``num_right_repeated`` count rows left out by the policy.
    """

    def __init__(
        self,
        left: KeyedTable,
        right: KeyedTable,
        codes: EntityCodes,
        left_policy: DuplicatePolicy,
        right_policy: DuplicatePolicy,
    ) -> None:
        self.num_left_repeated = 0
        self.num_right_repeated = 0
        self._left, self._right, self._codes = left, right, codes
        self._policies = (left_policy, right_policy)

    def __iter__(self) -> Iterator[MatchedRows]:
        with self._left.open(self._codes) as left, self._right.open(self._codes) as right:
            yield from self._matched(left, right)

    def _matched(self, left: RunReader, right: RunReader) -> Iterator[MatchedRows]:
        num_values = len(self._right.source.values)
        for taken in left:
            rows = self._checked(taken, self._left, self._policies[0])
            self.num_left_repeated += len(taken) - len(rows)
            values, matched = np.full((len(rows), num_values), np.nan), np.zeros(len(rows), bool)
            self._look_up(rows, right, values, matched)
            yield MatchedRows(rows, values, matched)
        while len(rest := right.take()):  # repeated keys after the last prediction count, and may be refused, as well
            self.num_right_repeated += len(rest) - len(self._checked(rest, self._right, self._policies[1]))

    def _look_up(self, rows: SortedRows, right: RunReader, values: Float64, matched: Bool) -> None:
        distinct, place = np.unique(rows.times, return_inverse=True)
        keys = _composite(place, rows.ranks, len(self._codes))
        last_time = int(rows.times[-1])
        while len(taken := right.take(last_time)):
            other = self._checked(taken, self._right, self._policies[1])
            self.num_right_repeated += len(taken) - len(other)
            at = np.searchsorted(distinct, other.times)
            at[at == len(distinct)] = 0
            known = distinct[at] == other.times
            other_keys = _composite(at[known], other.ranks[known], len(self._codes))
            found = np.searchsorted(keys, other_keys)
            found[found == len(keys)] = 0
            hit = keys[found] == other_keys
            values[found[hit]] = other.values[known][hit]
            matched[found[hit]] = True

    def _checked(self, rows: SortedRows, table: KeyedTable, policy: DuplicatePolicy) -> SortedRows:
        if policy == "error":
            require_unique(rows, repeated(rows), table, self._codes)
            return rows
        return without_duplicates(rows, policy)[0]


def _composite(place: Int64, ranks: Int64, num_names: int) -> Int64:
    """Join both keys into one integer that sorts alike."""
    return place * num_names + ranks
