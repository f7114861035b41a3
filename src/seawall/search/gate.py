"""The gate: three conditions that noise seldom meets together, each with its reason in words."""

import math
from dataclasses import dataclass

from seawall.search.config import ValidationConfig


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of the gate."""

    name: str
    value: float | None
    limit: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """All conditions; passed if each is."""

    conditions: tuple[Condition, ...]

    @property
    def passed(self) -> bool:
        """Tell whether every condition holds."""
        return all(condition.passed for condition in self.conditions)


def judge(
    reality_p: float, walk_forward_profit: float, loss_probability: float, config: ValidationConfig, *,
    hindsight: bool = False,
) -> Gate:  # fmt: skip
    """Judge a search: reality check, walk-forward profit out of sample, probability of a loss out of sample.

    An undefined value does not pass. SPA, PBO and the deflated Sharpe ratio are shown beside the gate, not in it: PBO
    is low on worthless data whose combinations are bad alike, the other two misjudge edges or noise. What was tuned
    with hindsight never passes: no test on the same opportunities can see what the other signals lose.
    """
    told = (Condition("tuned on all signals, not on opportunities", None, "required", passed=False),)
    return Gate(
        (
            Condition(
                "reality check p value", _known(reality_p), f"at most {config.max_reality_p:g}",
                reality_p <= config.max_reality_p,
            ),
            Condition(
                "walk-forward profit out of sample", _known(walk_forward_profit), "above 0", walk_forward_profit > 0
            ),
            Condition(
                "probability of a loss out of sample", _known(loss_probability),
                f"at most {config.max_loss_probability:g}", loss_probability <= config.max_loss_probability,
            ),
            *(told if hindsight else ()),
        )
    )  # fmt: skip


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
