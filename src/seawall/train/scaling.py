"""Scaling of the loss where gradients are of 16 bits: small ones would be lost as zeros."""

from dataclasses import dataclass

FIRST_SCALE = 2.0**16
GROWTH_STEPS = 2000
"""Good steps before the scale is doubled (Micikevicius et al., arXiv 1710.03740); a bad one halves it."""


def first_scale(precision: str) -> float:
    """Give the factor a training starts with; 1 where gradients have room enough."""
    return FIRST_SCALE if precision == "fp16" else 1.0


@dataclass(slots=True)
class LossScale:
    """Factor of the loss, and the good steps since it last changed. 1 and fixed where nothing needs scaling."""

    factor: float = 1.0
    num_good_steps: int = 0

    @property
    def is_used(self) -> bool:
        """Whether the loss is scaled at all; the factor never falls to 1 by itself."""
        return self.factor != 1.0

    def note(self, *, is_good: bool) -> None:
        """Learn how a step went."""
        if not self.is_used:
            return
        self.num_good_steps = self.num_good_steps + 1 if is_good else 0
        if not is_good:
            self.factor = max(2.0, self.factor / 2.0)
        elif self.num_good_steps >= GROWTH_STEPS:
            self.factor, self.num_good_steps = min(2.0**24, self.factor * 2.0), 0
