"""What a run tells whoever watches it: a display, a notebook, or nobody."""

import threading
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


class OneAtATime:
    """Hand what several threads tell to a listener that hears one thing at a time."""

    def __init__(self, listener: Listener) -> None:
        self._listener, self._lock = listener, threading.Lock()

    def planned(self, plans: Sequence[StagePlan], budget: Budget) -> None:
        """Hand on that all stages fit."""
        with self._lock:
            self._listener.planned(plans, budget)

    def noted(self, text: str) -> None:
        """Hand on something about the run as a whole."""
        with self._lock:
            self._listener.noted(text)

    def started(self, unit: Unit, plan: StagePlan) -> None:
        """Hand on that a child was started."""
        with self._lock:
            self._listener.started(unit, plan)

    def sampled(self, unit: Unit, heartbeat: dict[str, float | str], high: HighWater) -> None:
        """Hand on what the child holds."""
        with self._lock:
            self._listener.sampled(unit, heartbeat, high)

    def finished(self, unit: Unit, record: dict[str, Any]) -> None:
        """Hand on that a unit is done."""
        with self._lock:
            self._listener.finished(unit, record)

    def skipped(self, unit: Unit, record: dict[str, Any]) -> None:
        """Hand on that a unit was done before."""
        with self._lock:
            self._listener.skipped(unit, record)
