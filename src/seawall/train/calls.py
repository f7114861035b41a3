"""What the training loop calls: who judges, who is told, who keeps a batch that cannot be learnt from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from torch import nn

from seawall.budget.heartbeat import Beat
from seawall.train.checkpoint import Progress
from seawall.train.validate import Validation
from seawall.windows.gather import Batch


class Tell(Protocol):
    """Takes a report on the valid segment as it is made."""

    def __call__(self, report: Mapping[str, float | None]) -> None:
        """Take one report: epoch, step, losses, IC, Rank IC."""


def tell_nobody(report: Mapping[str, float | None]) -> None:
    """Pass a report by."""


class Validate(Protocol):
    """Judges a model on the valid segment."""

    def __call__(self, model: nn.Module, beat: Beat, substep: str) -> Validation:
        """Validate a model on all samples."""


class KeepBatch(Protocol):
    """Saves a batch that cannot be learnt from."""

    def __call__(self, batch: Batch, model: nn.Module, progress: Progress) -> Path | None:
        """Save it for study; give where."""


def keep_nothing(batch: Batch, model: nn.Module, progress: Progress) -> Path | None:
    """Let the batch go."""
    del batch, model, progress
    return None
