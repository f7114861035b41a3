"""Exit levels as arrays, and which levels a combination is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seawall.arrays import Float64, Int64
from seawall.search.config import GridConfig, listed
from seawall.search.costs import BPS

OFF = float("inf")


@dataclass(frozen=True, slots=True)
class Exit:
    """One combination: distances as fractions of the entry price, infinite where off."""

    take_profit: float
    stop_loss: float
    activation: float
    trail: float
    holding: int

    def record(self) -> dict[str, float | int | None]:
        """Give it in basis points; None is off."""
        return {
            "take_profit_bps": _bps(self.take_profit),
            "stop_loss_bps": _bps(self.stop_loss),
            "trail_distance_bps": _bps(self.trail),
            "trail_activation_bps": _bps(self.activation) if self.trail != OFF else None,
            "holding_periods": self.holding,
        }


def _bps(fraction: float) -> float | None:
    return None if fraction == OFF else round(fraction / BPS, 9)


@dataclass(frozen=True, slots=True, eq=False)
class ExitLevels:
    """Axes of a grid: take-profit [A], stop-loss [S], trail [R], holding [H]; combinations count in this order."""

    take_profit: Float64
    stop_loss: Float64
    activation: Float64
    trail: Float64
    holding: Int64

    @classmethod
    def of(cls, grid: GridConfig) -> "ExitLevels":
        """Convert basis points to fractions."""
        pairs = grid.trail.pairs()
        return cls(
            np.array([_fraction(v) for v in listed(grid.take_profit_bps)]),
            np.array([_fraction(v) for v in listed(grid.stop_loss_bps)]),
            np.array([0.0 if pair is None else pair[0] * BPS for pair in pairs]),
            np.array([OFF if pair is None else pair[1] * BPS for pair in pairs]),
            np.array(grid.holds, np.int64),
        )

    @classmethod
    def single(cls, exit_: Exit) -> "ExitLevels":
        """Make a grid of one combination."""
        return cls(
            np.array([exit_.take_profit]),
            np.array([exit_.stop_loss]),
            np.array([exit_.activation]),
            np.array([exit_.trail]),
            np.array([exit_.holding], np.int64),
        )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Numbers of levels."""
        return len(self.take_profit), len(self.stop_loss), len(self.trail), len(self.holding)

    @property
    def num_combinations(self) -> int:
        """Size of the grid."""
        a, s, r, h = self.shape
        return a * s * r * h

    def at(self, number: int) -> Exit:
        """Give the combination with this number."""
        a, s, r, h = (int(place) for place in np.unravel_index(number, self.shape))
        return Exit(
            float(self.take_profit[a]),
            float(self.stop_loss[s]),
            float(self.activation[r]),
            float(self.trail[r]),
            int(self.holding[h]),
        )

    def record(self) -> list[list[float]]:
        """Give all levels as plain numbers; off is -1."""
        axes = (self.take_profit, self.stop_loss, self.activation, self.trail, self.holding)
        return [[-1.0 if value == OFF else float(value) for value in axis] for axis in axes]

    @classmethod
    def of_record(cls, record: Sequence[Sequence[float]]) -> "ExitLevels":
        """Read what :meth:`record` gave."""
        take_profit, stop_loss, activation, trail, holding = (
            np.array([OFF if value == -1 else value for value in axis], np.float64) for axis in record
        )
        return cls(take_profit, stop_loss, activation, trail, holding.astype(np.int64))

    def take_profits(self, start: int, stop: int) -> "ExitLevels":
        """Give the part of the grid with these take-profits: a run of combination numbers."""
        return replace(self, take_profit=self.take_profit[start:stop])


def _fraction(value: float | None) -> float:
    return OFF if value is None else value * BPS
