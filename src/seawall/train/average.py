"""Moving average of the weights, judged and kept in place of the weights of the last step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of a model's weights (Polyak and Juditsky, 1992, with forgetting).

    The first steps forget faster, ``min(decay, (1 + n) / (10 + n))``, or the random first weights would weigh for long.
    Memory is one value a weight.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.num_steps = decay, 0
        self.weights = [parameter.detach().clone() for parameter in model.parameters()]

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self.num_steps += 1
        decay = min(self.decay, (1 + self.num_steps) / (10 + self.num_steps))
        for mean, parameter in zip(self.weights, model.parameters(), strict=True):
            mean.lerp_(parameter, 1.0 - decay)

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Put the average into the model for a while; nothing is copied."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    def restore(self, num_steps: int, weights: list[Tensor]) -> None:
        """Continue from a saved average."""
        self.num_steps = num_steps
        for mean, saved in zip(self.weights, weights, strict=True):
            mean.copy_(saved)

    def _swap(self, model: nn.Module) -> None:
        for number, parameter in enumerate(model.parameters()):
            parameter.data, self.weights[number] = self.weights[number], parameter.data
