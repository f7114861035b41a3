"""A batch in parts, one after the other: what training falls back to when a whole batch no longer fits."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seawall.errors import BudgetError
from seawall.units import MIB, format_bytes

GPU_CONTEXT_BYTES = 600 * MIB
"""CUDA context, cuDNN and cuBLAS workspaces. From the vendor's documents and others' reports, not measured here."""

GPU_SHARE = 0.9
"""Of the GPU's free memory: what is left over takes fragments and a display."""

MAX_PARTS = 64


@dataclass(frozen=True, slots=True)
class MicroBatches:
    """How a batch is worked through.

    Gradients of the parts are added up before the step, so the result equals that of the whole batch to rounding, not
    bitwise; dropout draws other masks.
    """

    parts: int = 1
    gpu_budget_bytes: int | None = None
    """What may be used of a GPU's memory; None takes a share of what is free."""

    def part_size(self, batch_size: int) -> int:
        """Give the samples of one part."""
        return math.ceil(batch_size / self.parts)


def parts_of(num_samples: int, parts: int) -> Iterator[slice]:
    """Cut a batch into at most ``parts`` runs of nearly equal length; the whole batch where ``parts`` is 1."""
    size = max(1, math.ceil(num_samples / parts))
    for start in range(0, max(num_samples, 1), size):
        yield slice(start, start + size)


def fewest_parts(needed_bytes: Callable[[int], int], room_bytes: int, *, first: int = 1, where: str) -> int:
    """Find the smallest power-of-two multiple of ``first`` for which a batch in that many parts fits.

    Parameters
    ----------
    needed_bytes
        Gives what is held for a number of parts.

    Raises
    ------
    BudgetError
        Where not even the smallest parts fit.
    """
    parts = first
    while needed_bytes(parts) > room_bytes:
        if parts * 2 > MAX_PARTS:
            raise BudgetError(
                where,
                f"one batch in {parts} parts needs {format_bytes(needed_bytes(parts))} of GPU memory",
                found=format_bytes(room_bytes),
                do="Lower train.batch_size or model.hidden_size, set memory.gpu_budget, or use train.device: cpu.",
            )
        parts *= 2
    return parts
