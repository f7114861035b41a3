"""AdamW in a page. Torch's own optimisers import its compiler when built: 70 MiB, seconds, in every fold."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(slots=True)
class AdamWState:
    """What the next step depends on besides weights and gradients."""

    num_steps: int
    means: list[Tensor]
    squares: list[Tensor]


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), step for step as in torch.

    Memory is two values a weight.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, learning_rate: float, weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.state = AdamWState(
            0, [torch.zeros_like(p) for p in self.parameters], [torch.zeros_like(p) for p in self.parameters]
        )

    @torch.no_grad()
    def step(self, *, largest_norm: float, factor: float = 1.0) -> bool:
        """Scale all gradients together to ``largest_norm`` where they exceed it, take one step, drop the gradients.

        ``factor`` is what gradients were multiplied by before. Where one is not finite no step is taken, and the answer
        is False.
        """
        if factor != 1.0:
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad.div_(factor)
        norm = nn.utils.clip_grad_norm_(self.parameters, largest_norm)
        if not math.isfinite(norm):
            self.drop_gradients()
            return False
        state = self.state
        state.num_steps += 1
        mean_bias = 1.0 - BETA_1**state.num_steps
        square_bias = math.sqrt(1.0 - BETA_2**state.num_steps)
        for parameter, mean, square in zip(self.parameters, state.means, state.squares, strict=True):
            gradient = parameter.grad
            if gradient is None:
                continue
            parameter.mul_(1.0 - self.learning_rate * self.weight_decay)
            mean.lerp_(gradient, 1.0 - BETA_1)
            square.mul_(BETA_2).addcmul_(gradient, gradient, value=1.0 - BETA_2)
            spread = square.sqrt().div_(square_bias).add_(EPSILON)
            parameter.addcdiv_(mean, spread, value=-self.learning_rate / mean_bias)
            parameter.grad = None
        return True

    @property
    def has_gradients(self) -> bool:
        """Whether any gradient waits for its step."""
        return any(parameter.grad is not None for parameter in self.parameters)

    def drop_gradients(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def restore(self, state: AdamWState) -> None:
        """Continue from a saved state."""
        self.state = AdamWState(
            state.num_steps,
            [saved.to(p.device, copy=True) for saved, p in zip(state.means, self.parameters, strict=True)],
            [saved.to(p.device, copy=True) for saved, p in zip(state.squares, self.parameters, strict=True)],
        )
