"""Samples of entries with honest intervals: relative to the full set, never about the future."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seawall.arrays import Float64, Int64

Z = 1.959963984540054
COCHRAN = 25.0
"""A normal interval needs n > 25 x skewness^2 (Cochran 1977, section 2.15)."""

TAKE_ALL_SHARE = 0.1
"""Share of the sample spent on the largest entries, which are all taken."""

SENTENCE = "The interval is relative to the full set of entries; it says nothing about the future."

Design = Literal["simple", "stratified", "take_all"]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Drawn entries in strata: places [n], stratum of each, and the sizes of the strata in the full set."""

    design: Design
    places: Int64
    stratum: Int64
    sizes: Int64
    """Entries of each stratum in the full set."""
    size_is_known: bool


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; bounds are NaN where no interval is valid."""

    estimate: float
    low: float
    high: float
    degrees: int
    design: str
    sentence: str

    @property
    def is_valid(self) -> bool:
        """Tell whether an interval could be given."""
        return math.isfinite(self.low)


def skewness(values: Float64) -> float:
    """Compute the moment skewness; 0 without variance."""
    spread = float(values.std())
    return float(np.mean((values - values.mean()) ** 3) / spread**3) if spread > 0 else 0.0


def choose_design(num_sampled: int, size: Float64 | None) -> Design:
    """Pick the design from a size measure that is known for every entry beforehand.

    Cochran's rule on its skewness: a simple sample where it holds, all of the largest entries where it fails. Without
    a size measure only a simple sample is possible, and the sample itself decides whether its interval is valid.
    """
    if size is None:
        return "simple"
    return "simple" if num_sampled > COCHRAN * skewness(size) ** 2 else "take_all"


def draw(
    num_entries: int, num_sampled: int, design: Design, seed: int, *, strata: Int64 | None = None,
    size: Float64 | None = None,
) -> Sample:  # fmt: skip
    """Draw without replacement. Memory: 8 bytes an entry.

    Parameters
    ----------
    strata
        Stratum of each entry, for ``stratified``: allocated in proportion, at least two of each.
    size
        Size measure of each entry, for ``take_all``.
    """
    rng = np.random.default_rng(seed)
    num_sampled = min(num_sampled, num_entries)
    if design == "take_all" and size is not None:
        num_taken = max(1, int(TAKE_ALL_SHARE * num_sampled))
        largest = np.argsort(-np.abs(size), kind="stable")
        others = np.sort(largest[num_taken:])
        rest = rng.choice(others, min(num_sampled - num_taken, len(others)), replace=False)
        places = np.concatenate([largest[:num_taken], rest])
        stratum = np.repeat([0, 1], [num_taken, len(rest)])
        return Sample("take_all", places, stratum, np.array([num_taken, len(others)]), size_is_known=True)
    if design == "stratified" and strata is not None:
        return _stratified(num_entries, num_sampled, strata, rng)
    places = rng.choice(num_entries, num_sampled, replace=False)
    return Sample("simple", places, np.zeros(num_sampled, np.int64), np.array([num_entries]), size_is_known=False)


def _stratified(num_entries: int, num_sampled: int, strata: Int64, rng: np.random.Generator) -> Sample:
    names, codes, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    drawn, stratum = [], []
    for code in range(len(names)):
        members = np.flatnonzero(codes == code)
        number = min(len(members), max(2, round(num_sampled * len(members) / num_entries)))
        drawn.append(rng.choice(members, number, replace=False))
        stratum.append(np.full(number, code))
    return Sample("stratified", np.concatenate(drawn), np.concatenate(stratum), sizes, size_is_known=False)


def estimate_total(values: Float64, sample: Sample) -> Interval:
    """Estimate the total of the full set from sampled values, with finite population correction in each stratum.

    Where the values of a sampled stratum are too skewed for a normal interval, because no size measure was known
    beforehand or it says little about them, no interval is valid and the bounds are NaN.
    """
    estimate, variance, degrees, is_skewed = 0.0, 0.0, 0, False
    for code, size in enumerate(sample.sizes.tolist()):
        own = values[sample.stratum == code]
        if not len(own):
            continue
        estimate += size * float(own.mean())
        share = len(own) / size
        if share < 1:
            variance += size**2 * (1 - share) * float(own.var(ddof=1)) / len(own) if len(own) > 1 else math.inf
            degrees += len(own) - 1
            is_skewed = is_skewed or len(values) <= COCHRAN * skewness(own) ** 2
    if is_skewed:
        why = "beside the largest that were all taken" if sample.size_is_known else "and no size is known"
        sentence = f"No valid interval: the values are too skewed for {len(values):,} draws, {why}."
        return Interval(estimate, math.nan, math.nan, degrees, sample.design, sentence)
    half = _t(degrees) * math.sqrt(variance)
    return Interval(estimate, estimate - half, estimate + half, degrees, sample.design, SENTENCE)


def estimate_share(hits: int, num_sampled: int, num_entries: int) -> Interval:
    """Estimate a share with Wilson's interval, with n / (1 - f) in place of n."""
    share, fraction = hits / num_sampled, num_sampled / num_entries
    if fraction >= 1:
        return Interval(share, share, share, 0, "all", SENTENCE)
    n = num_sampled / (1 - fraction)
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return Interval(share, centre - half, centre + half, num_sampled - 1, "simple", SENTENCE)


def _t(degrees: int) -> float:
    """Give the 97.5 % point of Student's t (Cornish-Fisher; within 0.001 from 10 degrees on)."""
    if degrees <= 0:
        return Z
    return Z + (Z**3 + Z) / (4 * degrees) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * degrees**2)
