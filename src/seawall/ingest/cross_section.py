"""Compare the names of one date: rank, z-score, mean removed, winsorised; every function sees one date at a time."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import AnyArray, Float64, Int64
from seawall.ingest.cross_section_config import CrossSection


@dataclass(frozen=True, slots=True)
class Groups:
    """Defined values sorted by (key, value), and where each key begins.

    ``order`` gives the place of each in the whole; ``starts`` ends with their number.
    """

    order: Int64
    values: Float64
    starts: Int64

    @property
    def counts(self) -> Int64:
        """Values of each key."""
        return np.diff(self.starts)

    def spread(self, by_key: AnyArray) -> AnyArray:
        """Repeat a number of each key for its values."""
        return np.repeat(by_key, self.counts)

    def means(self, values: Float64) -> Float64:
        """Average the values of each key."""
        means: Float64 = np.add.reduceat(values, self.starts[:-1]) / self.counts
        return means

    def quantile(self, level: float) -> Float64:
        """Find a quantile of each key, linear between neighbours."""
        place = level * (self.counts - 1)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, self.counts - 1)
        below: Float64 = self.values[self.starts[:-1] + low]
        above: Float64 = self.values[self.starts[:-1] + high]
        between: Float64 = below + (above - below) * (place - low)
        return between


def group(values: Float64, keys: Int64) -> Groups:
    """Sort values by key; those that are NaN, or whose key is negative, take no part."""
    taken = np.flatnonzero(np.isfinite(values) & (keys >= 0))
    order = taken[np.lexsort((values[taken], keys[taken]))]
    found = keys[order]
    begins = np.flatnonzero(np.append(True, found[1:] != found[:-1])) if len(found) else np.empty(0, np.int64)
    return Groups(order, values[order], np.append(begins, len(order)).astype(np.int64))


def compare(rule: CrossSection, values: Float64, keys: Int64) -> Float64:
    """Compare values with the others of their key.

    Parameters
    ----------
    values
        float64 [n]; NaN and infinite values take no part and stay undefined.
    keys
        int64 [n], equal for rows that are compared; negative for rows that take no part.

    Returns
    -------
    float64 [n]
        NaN where a value or too many of its group are missing, and a z-score where all values are equal.
    """
    groups = group(values, keys)
    out = np.full(len(values), np.nan)
    if not len(groups.order):
        return out
    results = {"rank": _ranks, "zscore": _zscores, "demean": _demeaned}
    found = _winsorised(groups, rule.limits) if rule.kind == "winsorise" else results[rule.kind](groups)
    out[groups.order] = np.where(groups.spread(groups.counts) >= rule.min_names, found, np.nan)
    return out


def _ranks(groups: Groups) -> Float64:
    """Give average ranks divided by the number of values."""
    n = len(groups.values)
    is_new = np.append(True, groups.values[1:] != groups.values[:-1])
    is_new[groups.starts[:-1]] = True
    first = np.flatnonzero(is_new)
    middle = (first + np.append(first[1:], n) - 1) / 2
    place = np.repeat(middle, np.diff(np.append(first, n))) - groups.spread(groups.starts[:-1])
    ranks: Float64 = (place + 1) / groups.spread(groups.counts)
    return ranks


def _demeaned(groups: Groups) -> Float64:
    return groups.values - groups.spread(groups.means(groups.values))


def _zscores(groups: Groups) -> Float64:
    apart = _demeaned(groups)
    is_flat = groups.values[groups.starts[1:] - 1] == groups.values[groups.starts[:-1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.add.reduceat(apart**2, groups.starts[:-1])
        std = np.where(is_flat, np.nan, np.sqrt(squares / (groups.counts - 1)))
        return apart / groups.spread(std)


def _winsorised(groups: Groups, limits: tuple[float, float]) -> Float64:
    low, high = (groups.spread(groups.quantile(level)) for level in limits)
    return np.clip(groups.values, low, high)
