"""The gradients of one batch: whole, in parts, or of a date that is larger than one part, in two passes."""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seawall.losses.objective import Objective, TermValue
from seawall.stores.scalers import Scaler
from seawall.train.determinism import random_state, restore_random_state
from seawall.train.inference import batch_tensors, to_scaled
from seawall.train.micro import parts_of
from seawall.windows.gather import Batch

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class NotFiniteError(Exception):
    """The loss of a batch is not finite; no step has been taken."""

    def __init__(self, loss: float, rank: int = 0) -> None:
        super().__init__(str(loss))
        self.loss, self.rank = loss, rank


@dataclass(slots=True)
class StepSums:
    """What one batch adds to the sums of an epoch, term by term, without weights."""

    totals: list[float]
    counts: list[float]
    num_flat: int = 0

    def add(self, values: list[TermValue]) -> None:
        """Take in the terms of a part; NotFiniteError where one of them is not finite."""
        for number, value in enumerate(values):
            self.totals[number] += float(value.total.detach())
            self.counts[number] += value.count
            self.num_flat += value.num_flat
            if not math.isfinite(self.totals[number]):
                raise NotFiniteError(self.totals[number])


@dataclass(frozen=True, slots=True)
class Stepper:
    """Adds up the gradients of a batch.

    Memory is the activations of one part. Losses are computed outside autocast, in float32 or float64.
    """

    model: nn.Module
    objective: Objective
    scaler: Scaler
    device: torch.device
    precision: str

    def add_gradients(self, batch: Batch, *, parts: int, size: float, factor: float) -> StepSums:
        """Add the gradients of a batch to those that are there.

        Parameters
        ----------
        parts
            How many parts the batch is worked through in. A date stays exact: its predictions are made without a graph,
            the gradient of its loss to each of them is taken, then each part goes forward again, with the same dropout,
            and backward.
        size
            What a whole batch counts: divides the terms of single samples.
        factor
            Multiplies all gradients.

        Raises
        ------
        NotFiniteError
            Before the part that is not finite goes backward.
        """
        num_terms = len(self.objective.terms)
        sums = StepSums([0.0] * num_terms, [0.0] * num_terms)
        if not len(batch.x):  # no date is left for this rank
            return sums
        self.model.train()
        target = torch.from_numpy(to_scaled(batch.y, self.scaler)).to(self.device)
        weight = None if batch.weight is None else torch.from_numpy(batch.weight).to(self.device)
        cuts = list(parts_of(len(batch.x), parts))
        if self.objective.by_date and len(cuts) > 1:
            self._in_two_passes(batch, cuts, (target, weight, size, factor), sums)
            return sums
        for cut in cuts:
            values = self.objective.values(
                self._predict(batch, cut), target[cut], None if weight is None else weight[cut]
            )
            sums.add(values)
            whole = self.objective.to_minimise(values, size)
            if whole is not None:
                torch.autograd.backward(whole if factor == 1.0 else whole * factor)
        return sums

    def _in_two_passes(
        self, batch: Batch, cuts: list[slice], means: tuple[Tensor, Tensor | None, float, float], sums: StepSums
    ) -> None:
        target, weight, size, factor = means
        states = []
        pieces = []
        with torch.no_grad():
            for cut in cuts:
                states.append(random_state(self.device))
                pieces.append(self._predict(batch, cut))
        predicted = torch.cat(pieces).requires_grad_()
        del pieces
        values = self.objective.values(predicted, target, weight)
        sums.add(values)
        whole = self.objective.to_minimise(values, size)
        if whole is None:
            return
        (gradient,) = torch.autograd.grad(whole if factor == 1.0 else whole * factor, predicted)
        for cut, state in zip(cuts, states, strict=True):
            restore_random_state(state, self.device)
            torch.autograd.backward(self._predict(batch, cut), gradient[cut])

    def _predict(self, batch: Batch, cut: slice) -> Tensor:
        with self._autocast():
            predicted: Tensor = self.model(*batch_tensors(batch, cut, self.device))
        return predicted if self.precision == "float32" else predicted.float()

    def _autocast(self) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, DTYPES[self.precision])
