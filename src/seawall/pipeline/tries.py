"""What is tried after a stage has died of memory: never the plan that died, and not for ever."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from seawall.budget.claims import StagePlan

MICRO_BATCHES = (2, 4)
"""Parts a training batch is cut into, one after the other; smaller ones gain little beside the libraries' floor."""

ROUNDING = "equal to rounding, not bitwise"
"""What a model trained with accumulation is to the one trained without."""


@dataclass(frozen=True, slots=True)
class Try:
    """One way to do a unit."""

    plan: StagePlan
    change: str = ""
    """What is different from the way that died; empty the first time."""
    smallest_knobs: bool = False
    micro_batches: int = 1

    def record(self, cause: str, text: str) -> dict[str, Any]:
        """Describe a try that died, for the unit's record."""
        knobs = {**self.plan.neutral, "micro_batches": self.micro_batches}
        return {"change": self.change or "as planned", "knobs": knobs, "cause": cause, "error": text}


Replan = Callable[[bool, int], StagePlan]
"""Plans the unit: with the smallest neutral knobs or the usual ones, and a number of micro-batches."""


def tries(replan: Replan, *, can_split_batches: bool) -> Iterator[Try]:
    """Give the ways to do a unit, best first: as planned, with the smallest neutral knobs, with micro-batches.

    Neutral knobs change no result. Micro-batches change its last bits, so they come last and are recorded.
    """
    planned = replan(False, 1)
    yield Try(planned)
    smallest = replan(True, 1)
    changed = [name for name, value in smallest.neutral.items() if value != planned.neutral.get(name)]
    if changed:
        words = ", ".join(f"{name} {planned.neutral.get(name)} to {smallest.neutral[name]}" for name in changed)
        yield Try(smallest, f"with smaller knobs that change no result ({words})", smallest_knobs=True)
    for parts in MICRO_BATCHES if can_split_batches else ():
        change = f"with each batch in {parts} parts, gradients added up ({ROUNDING})"
        yield Try(replan(True, parts), change, smallest_knobs=True, micro_batches=parts)
