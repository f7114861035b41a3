"""What a run tells whoever watches it: a display, a notebook, or nobody."""

from collections.abc import Sequence
from typing import Any, Protocol

from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.budget.meter import HighWater
from seawall.pipeline.stages import Unit


class Listener(Protocol):
    """What a display hears of a run."""

    def planned(self, plans: Sequence[StagePlan], budget: Budget) -> None:
        """Hear that all stages fit."""

    def noted(self, text: str) -> None:
        """Hear something about the run as a whole: what it continues, that nothing is to be done."""

    def started(self, unit: Unit, plan: StagePlan) -> None:
        """Hear that a child was started."""

    def sampled(self, unit: Unit, heartbeat: dict[str, float | str], high: HighWater) -> None:
        """Hear what the child holds."""

    def finished(self, unit: Unit, record: dict[str, Any]) -> None:
        """Hear that a unit is done."""

    def skipped(self, unit: Unit, record: dict[str, Any]) -> None:
        """Hear that a unit was done before, with the same content."""


class Silent:
    """A listener that shows nothing."""

    def planned(self, plans: Sequence[StagePlan], budget: Budget) -> None:
        """Hear that all stages fit."""

    def noted(self, text: str) -> None:
        """Hear something about the run as a whole."""

    def started(self, unit: Unit, plan: StagePlan) -> None:
        """Hear that a child was started."""

    def sampled(self, unit: Unit, heartbeat: dict[str, float | str], high: HighWater) -> None:
        """Hear what the child holds."""

    def finished(self, unit: Unit, record: dict[str, Any]) -> None:
        """Hear that a unit is done."""

    def skipped(self, unit: Unit, record: dict[str, Any]) -> None:
        """Hear that a unit was done before."""
