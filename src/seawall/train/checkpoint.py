"""The state of a training run in one file: complete, replaced atomically, read back without running any code."""

import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from seawall.stores.atomic import replacing
from seawall.train.adamw import AdamWState

Weights: TypeAlias = dict[str, Tensor]


@dataclass(slots=True)
class Progress:
    """Where training is and what it has seen; plain values only. ``step`` is the next step of ``epoch``."""

    epoch: int = 0
    step: int = 0
    loss_total: float = 0.0
    loss_count: float = 0.0
    num_empty_batches: int = 0
    epoch_seconds: float = 0.0
    loader_wait_seconds: float = 0.0
    """Of ``epoch_seconds``, what steps waited for their batch."""
    best_score: float | None = None
    best_epoch: int = -1
    history: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    """Judgements on valid within an epoch; when they are made depends on the clock, so nothing else does on them."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that the rest of a training run depends on."""

    progress: Progress
    model: Weights
    optimizer: AdamWState
    random: list[Tensor]
    best: Weights


def save_checkpoint(path: Path, key: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; a kill at any moment leaves the one before it or this one."""
    record = {
        "key": key,
        "progress": asdict(checkpoint.progress),
        "model": checkpoint.model,
        "optimizer": {name: getattr(checkpoint.optimizer, name) for name in AdamWState.__slots__},
        "random": checkpoint.random,
        "best": checkpoint.best,
    }
    with replacing(path) as temporary:
        torch.save(record, temporary)


def load_checkpoint(path: Path, key: str) -> Checkpoint | None:
    """Read a checkpoint; None where there is none of this ``key`` or it is damaged, and training starts anew."""
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
        if record["key"] != key:
            return None
        progress = Progress(**record["progress"])
        return Checkpoint(
            progress, record["model"], AdamWState(**record["optimizer"]), record["random"], record["best"]
        )
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError):
        return None
