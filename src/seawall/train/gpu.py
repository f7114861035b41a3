"""The second budget, of a GPU: how much of it a fold may use, and how a full one is recovered from."""

import torch
from torch import nn

from seawall.errors import StageError
from seawall.models.shape import ModelShape
from seawall.train.config import TrainConfig
from seawall.train.memory import gpu_bytes
from seawall.train.micro import GPU_SHARE, MAX_PARTS, MicroBatches, fewest_parts
from seawall.units import format_bytes


def fit_to_device(device: torch.device, config: TrainConfig, shape: ModelShape, asked: MicroBatches) -> MicroBatches:
    """Choose the parts of a batch that fit the device, and hold torch to the budget; a CPU takes what is asked.

    Raises
    ------
    BudgetError
        Where not even the smallest parts fit.
    """
    if device.type != "cuda":
        return asked
    free_bytes, total_bytes = torch.cuda.mem_get_info(device)
    budget_bytes = asked.gpu_budget_bytes or int(free_bytes * GPU_SHARE)
    torch.cuda.set_per_process_memory_fraction(min(1.0, budget_bytes / total_bytes), device)

    def needed(parts: int) -> int:
        return gpu_bytes(config, shape, parts)

    parts = fewest_parts(needed, budget_bytes, first=asked.parts, where="train")
    return MicroBatches(parts, asked.gpu_budget_bytes)


def next_parts(parts: int, batch_size: int) -> int:
    """Give the next number of parts after a step that did not fit.

    Raises
    ------
    StageError
        Where a batch is cut as finely as it goes.
    """
    if parts * 2 > min(batch_size, MAX_PARTS):
        what = f"one step does not fit the GPU, even with the batch in {parts} parts"
        raise StageError("train", what, do="Lower train.batch_size or model.hidden_size.")
    return parts * 2


def drop_step(model: nn.Module) -> None:
    """Forget what a failed step has left: gradients, and what torch keeps for the next allocation."""
    for parameter in model.parameters():
        parameter.grad = None
    torch.cuda.empty_cache()


def device_summary() -> str:
    """Say in words what GPU there is; empty where there is none."""
    if not torch.cuda.is_available():
        return ""
    free_bytes, total_bytes = torch.cuda.mem_get_info()
    return f"{torch.cuda.get_device_name()}, {format_bytes(free_bytes)} of {format_bytes(total_bytes)} free"
