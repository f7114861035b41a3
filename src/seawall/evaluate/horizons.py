"""What names have earned over the next 1, 2, 5 ... rows, from the panel's own prices."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import AnyArray, Float64, Int64
from seawall.evaluate.inputs import Inputs
from seawall.stores.npy import advise_random
from seawall.stores.panel import Panel


@dataclass(frozen=True, slots=True)
class RealisedReturns:
    """Returns of one price column over several horizons, counted in rows of the entity as targets are.

    A return over h rows is ``adjusted[t + delay + h] / adjusted[t + delay] - 1``, whatever the horizon of the target;
    NaN where a price is missing, or after an entity's last row.
    """

    panel: Panel
    column: int
    delay_periods: int
    horizons: tuple[int, ...]

    @classmethod
    def of(cls, inputs: Inputs, horizons: tuple[int, ...]) -> "RealisedReturns | None":
        """Take the price column a return target is made of; None for other targets, or without horizons."""
        panel, spec = inputs.panel, inputs.spec
        names = panel.names("prices")
        if not horizons or not spec.kind.endswith("return") or spec.column not in names:
            return None
        advise_random(panel.prices)
        advise_random(panel.adjustment)
        return cls(panel, names.index(spec.column), spec.delay_periods, horizons)

    def __call__(self, rows: Int64, entities: Int64) -> Float64:
        """Give float64 [n, H] for the rows of one date; memory is 8 bytes x n x (H + 4)."""
        ends = self.panel.offsets[entities + 1]
        bought = self._price(rows + self.delay_periods, ends)
        found = np.empty((len(rows), len(self.horizons)))
        for place, horizon in enumerate(self.horizons):
            found[:, place] = self._price(rows + (self.delay_periods + horizon), ends) / bought - 1.0
        return found

    def _price(self, rows: Int64, ends: Int64) -> AnyArray:
        price = np.full(len(rows), np.nan)
        inside = np.flatnonzero(rows < ends)
        adjusted = self.panel.prices[rows[inside], self.column] / self.panel.adjustment[rows[inside]]
        price[inside] = np.where((adjusted > 0) & np.isfinite(adjusted), adjusted, np.nan)
        return price
