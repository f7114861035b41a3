"""What training minimises: the terms of a loss, each of one target, computed and added up."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seawall.errors import ConfigError, nearest
from seawall.losses.by_date import date_ic, date_loss
from seawall.losses.config import AnyLoss, HuberConfig, MseConfig, PlainLoss, SumConfig
from seawall.losses.pointwise import summed_loss


@dataclass(frozen=True, slots=True)
class Term:
    """One loss of one output."""

    loss: PlainLoss
    output: int
    weight: float = 1.0
    ic_goal: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class TermValue:
    """A term over some samples, without its weight.

    ``total`` is a sum over targets of weight ``count``, or over ``count`` dates; ``num_flat`` dates had no variance or
    too few names and contribute 0. ``pushes`` is False where the goal of the term is reached.
    """

    total: Tensor
    count: float
    num_flat: int = 0
    pushes: bool = True


def terms_of(config: AnyLoss, targets: tuple[str, ...]) -> tuple[Term, ...]:
    """List the terms of a loss; one that names no targets is that of each of them, added up.

    Raises
    ------
    ConfigError
        Where a term names a target that is not predicted.
    """
    if not isinstance(config, SumConfig):
        return tuple(Term(config, output, name=f"{config.kind}_{name}") for output, name in enumerate(targets))
    terms = []
    for number, term in enumerate(config.terms):
        target = targets[0] if term.target is None else term.target
        if target not in targets:
            place, do = f"train.loss.terms.{number}.target", nearest(target, targets)
            raise ConfigError(place, "this target is not predicted", found=repr(target), do=do)
        terms.append(Term(term, targets.index(target), term.weight, term.ic_goal, f"{term.kind}_{target}"))
    return tuple(terms)


@dataclass(frozen=True, slots=True)
class Objective:
    """The terms of a loss, ready to be computed on whole dates, or on any samples where no term is of dates."""

    terms: tuple[Term, ...]

    @property
    def by_date(self) -> bool:
        """Whether any term needs the names of one date together."""
        return any(term.loss.by_date or term.ic_goal is not None for term in self.terms)

    def values(self, prediction_BK: Tensor, target_BK: Tensor, weight_B: Tensor | None) -> list[TermValue]:
        """Compute all terms, over the samples of one date where any is of dates.

        Parameters
        ----------
        prediction_BK, target_BK
            float32 [B, K], or [B, L, K]: each step is then a sample. NaN in a target masks it: no loss, no gradient.
        weight_B
            float32 [B] or [B, L], 0 or more, or None.
        """
        if prediction_BK.dim() == 3:
            prediction_BK, target_BK = prediction_BK.flatten(0, 1), target_BK.flatten(0, 1)
            weight_B = None if weight_B is None else weight_B.flatten()
        several = prediction_BK.shape[1] > 1
        found = []
        for term in self.terms:
            one = slice(term.output, term.output + 1) if several else slice(None)
            found.append(_value(term, prediction_BK[:, one] if several else prediction_BK, target_BK[:, one], weight_B))
        return found

    def to_minimise(self, values: list[TermValue], size: float) -> Tensor | None:
        """Add the terms up, each times its weight; None where none of them pushes.

        ``size`` divides the terms of single samples: what a whole batch counts. A date counts once.
        """
        whole: Tensor | None = None
        for term, value in zip(self.terms, values, strict=True):
            if value.count == 0 or not value.pushes or term.weight == 0:
                continue
            part = value.total if term.loss.by_date else value.total / size
            part = part if term.weight == 1.0 else part * term.weight
            whole = part if whole is None else whole + part
        return whole

    def mean(self, totals: list[float], counts: list[float]) -> float | None:
        """Give the weighted sum of the terms' means; terms without a value are left out, None where no term has one."""
        means = [
            term.weight * total / count for term, total, count in zip(self.terms, totals, counts, strict=True) if count
        ]
        return sum(means) if means else None


def _value(term: Term, prediction_BK: Tensor, target_BK: Tensor, weight_B: Tensor | None) -> TermValue:
    """Compute one term on its own column, [B, 1]."""
    pushes = True
    if term.ic_goal is not None:
        ic = date_ic(prediction_BK[:, 0], target_BK[:, 0], weight_B)
        pushes = ic is None or ic < term.ic_goal
    if isinstance(term.loss, MseConfig | HuberConfig):
        summed = summed_loss(term.loss, prediction_BK, target_BK, weight_B)
        return TermValue(summed.total, summed.count, pushes=pushes)
    loss = date_loss(term.loss, prediction_BK[:, 0], target_BK[:, 0], weight_B)
    if loss is None:
        return TermValue(prediction_BK.new_zeros((), dtype=torch.float64), 0, 1)
    return TermValue(loss, 1, pushes=pushes)
