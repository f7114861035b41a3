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

OptimizerState: TypeAlias = AdamWState | dict[str, Any]
"""Ours, or that of a LightningModule's own optimiser: tensors and plain values."""


@dataclass(slots=True)
class Progress:
    """Where training is and what it has seen; plain values only. ``step`` is the next step of ``epoch``."""

    epoch: int = 0
    step: int = 0
    totals: list[float] = field(default_factory=list)
    """Sums of each term of the loss over this epoch, and below what they are sums of."""
    counts: list[float] = field(default_factory=list)
    num_flat: int = 0
    """Dates of this epoch that a term could not use: no variance, or too few names."""
    num_empty_batches: int = 0
    num_skipped_batches: int = 0
    """Batches whose loss or gradient was not finite."""
    num_plateaus: int = 0
    loss_factor: float = 1.0
    num_good_steps: int = 0
    num_averaged: int = 0
    epoch_seconds: float = 0.0
    loader_wait_seconds: float = 0.0
    """Of ``epoch_seconds``, what steps waited for their batch."""
    best_score: float | None = None
    best_epoch: int = -1
    history: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    """Judgements on valid within an epoch; when they are made depends on the clock, so nothing else does on them."""
    resumed: list[dict[str, Any]] = field(default_factory=list)
    """Resumes that are equal to rounding only: where, and what had changed."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that the rest of a training run depends on."""

    progress: Progress
    model: Weights
    optimizer: OptimizerState
    random: list[Tensor]
    best: Weights
    average: list[Tensor] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


def save_checkpoint(path: Path, key: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; a kill at any moment leaves the one before it or this one."""
    record = {
        "key": key,
        "progress": asdict(checkpoint.progress),
        "model": checkpoint.model,
        "optimizer": _plain(checkpoint.optimizer),
        "random": checkpoint.random,
        "best": checkpoint.best,
        "average": checkpoint.average,
        "environment": checkpoint.environment,
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
        kept = record["optimizer"]
        state = AdamWState(**kept) if kept.keys() == set(AdamWState.__slots__) else kept
        rest = (record["random"], record["best"], record["average"], record["environment"])
        return Checkpoint(progress, record["model"], state, *rest)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError):
        return None


def _plain(state: OptimizerState) -> dict[str, Any]:
    return state if isinstance(state, dict) else {name: getattr(state, name) for name in AdamWState.__slots__}
