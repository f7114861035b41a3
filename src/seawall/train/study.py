"""Saves the batch that a training stopped at, to be looked at."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from seawall.stores.atomic import replacing
from seawall.train.checkpoint import Progress
from seawall.windows.gather import Batch

NAME = "non_finite_batch.safetensors"


def keep_batch(folder: Path, batch: Batch, model: nn.Module, progress: Progress) -> Path:
    """Write the arrays of a batch and the weights it met, with epoch and step in the header. No code is in the file.

    ``batch.x`` and the others are as the model saw them (targets unscaled); weights are ``model.NAME``.
    """
    arrays = {f"batch.{name}": torch.from_numpy(values.copy()) for name, values in batch.named().items()}
    weights = {f"model.{name}": value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    where = {"epoch": str(progress.epoch), "step": str(progress.step)}
    with replacing(folder / NAME) as temporary:
        save_file({**arrays, **weights}, temporary, metadata=where)
    return folder / NAME
