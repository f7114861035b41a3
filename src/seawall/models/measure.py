"""Measure what a network holds while it works, tensor by tensor: the judge of our formulas, and the plan of others'."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch has no types for it
    """Add up the storages that operators make, for as long as each lives."""

    live_bytes: int
    peak_bytes: int

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch has no types for it
        self.live_bytes = self.peak_bytes = 0
        self.seen: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no: to keep its compiler away from here torch would import it first, 63 MiB."""
        return False

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        made = func(*args, **(kwargs or {}))
        for value in tree_flatten(made)[0]:
            if isinstance(value, Tensor):
                self._count(value.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size_bytes = storage.data_ptr(), storage.nbytes()
        if not size_bytes or place in self.seen:
            return
        self.seen.add(place)
        weakref.finalize(storage, self._forget, place, size_bytes)
        self.live_bytes += size_bytes
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _forget(self, place: int, size_bytes: int) -> None:
        self.seen.discard(place)
        self.live_bytes -= size_bytes


def peak_bytes(
    network: nn.Module,
    inputs: tuple[Tensor | None, ...],
    *,
    training: bool,
    loss: Callable[..., Tensor | None] | None = None,
) -> int:
    """Measure the most bytes of tensors alive at once, beside weights and inputs, in one pass of a network.

    Operators' own scratch within a call is not seen; it is no more than the largest of their tensors. With ``training``
    the pass goes forward and back, from the mean of all outputs or from a ``loss`` of the inputs, and gradients of
    weights count too.
    """
    network.train(training)
    with _Live() as live, torch.set_grad_enabled(training):
        # Weights and inputs are there before: they are not what the pass makes.
        before = [p.untyped_storage() for p in network.parameters()]
        live.seen |= {s.data_ptr() for s in before}
        live.seen |= {x.untyped_storage().data_ptr() for x in inputs if x is not None}
        if training and loss is not None:
            found = loss(*inputs)
            if found is not None:
                torch.autograd.backward(found)
            del found
        else:
            predicted = network(*inputs)
            if training:
                torch.autograd.backward(predicted.square().mean())
            del predicted
    network.zero_grad(set_to_none=True)
    highest: int = live.peak_bytes
    return highest
