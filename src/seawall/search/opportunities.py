"""Phase 1: what hindsight could have earned. A denominator of the capture rate, never a set to tune on."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import Bool, Float64
from seawall.search.first_hit import Tables


@dataclass(frozen=True, slots=True)
class Opportunities:
    """Entries whose best possible exit, after costs, exceeds a threshold."""

    threshold: float
    """Fraction of the notional at entry."""
    capture_share: float

    def mask(self, tables: Tables) -> Bool:
        """Tell which entries are opportunities; looks ahead to the end of the longest holding, on purpose."""
        return np.asarray(tables.ideal > self.threshold)

    def hurdle(self, tables: Tables) -> Float64:
        """Give the net return above which each opportunity is captured; infinite where an entry is none."""
        return np.where(self.mask(tables), self.capture_share * tables.ideal, np.inf)
