"""Windows as a torch ``IterableDataset`` whose position is saved and restored exactly; needs torch."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from seawall.arrays import AnyArray
from seawall.stores.panel import Panel
from seawall.windows.ahead import ahead
from seawall.windows.api import NamedWindows, WindowsChoice, make_windows
from seawall.windows.samples import Samples
from seawall.windows.stream import following

Tensors = dict[str, Tensor]


def to_tensors(batch: dict[str, AnyArray]) -> Tensors:
    """Give the arrays of a batch as tensors that share their memory."""
    return {name: torch.from_numpy(_writable(array)) for name, array in batch.items()}


def to_pinned(batch: dict[str, AnyArray]) -> Tensors:
    """Copy the arrays of a batch into page-locked memory, from which a GPU reads while the host goes on.

    torch keeps a block that a copy still reads from being used again.
    """
    return {name: tensor.pin_memory() for name, tensor in to_tensors(batch).items()}


class TorchWindows(IterableDataset[Tensors]):
    """Batches of windows for ``DataLoader(dataset, batch_size=None)``, or for a trainer that takes any iterable.

    Each item is a whole batch, see :func:`seawall.windows`. One gather thread reads ahead already: no workers are
    faster than two. With workers each gives every n-th batch, so their loader gives the batches in the same order.
    ``state_dict`` and ``load_state_dict`` are what torchdata's StatefulDataLoader and Lightning look for.

    Parameters
    ----------
    panel
        A store or its path. Only the path goes to workers.
    choice
        What to give. Under ``torch.distributed`` a choice of one rank is shared out among the process group.
    dates
        Half-open range of calendar indices; None takes all.
    samples
        Or the samples of a segment of a fold.
    pin
        Give tensors in page-locked memory, copied there by a thread of its own. None does so where there is a GPU, but
        for worker processes: what they send is copied once more, and pinned by their loader.
    """

    def __init__(
        self,
        panel: Panel | str | Path,
        choice: WindowsChoice,
        *,
        dates: tuple[int, int] | None = None,
        samples: Samples | None = None,
        pin: bool | None = None,
    ) -> None:
        super().__init__()
        self.path = panel.path if isinstance(panel, Panel) else Path(panel)
        self.choice, self.dates, self.samples, self.pin = choice, dates, samples, pin
        self._opened: NamedWindows | None = None
        self._epoch = self._step = 0

    @property
    def windows(self) -> NamedWindows:
        """The stream behind, opened when it is first used in this process."""
        if self._opened is None:
            choice = self.choice
            if choice.world_size == 1 and torch.distributed.is_available() and torch.distributed.is_initialized():
                ranks = torch.distributed.get_world_size()
                choice = replace(choice, rank=torch.distributed.get_rank(), world_size=ranks)
            self._opened = make_windows(Panel(self.path), choice, dates=self.dates, samples=self.samples)
        return self._opened

    def __len__(self) -> int:
        return len(self.windows)

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch at its first batch. Needed where a loader starts new workers each epoch."""
        self._epoch, self._step = epoch, 0

    def __iter__(self) -> Iterator[Tensors]:
        """Give what is left of this epoch, or of this worker's part of it, then move on to the next epoch."""
        worker = get_worker_info()
        if worker is None:
            for batch in self._batches(self._step, 1):
                self._epoch, self._step = following(self._epoch, self._step, len(self))
                yield batch
            return
        for batch in self._batches(worker.id + self._step * worker.num_workers, worker.num_workers):
            self._step += 1
            yield batch
        # Not with the last batch: other workers may still have some of this epoch, and its state must say so.
        self._epoch, self._step = self._epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Give the position; the batch handed out last counts as used. Of a worker it is the worker's own."""
        return {**self.windows.state(), "epoch": self._epoch, "step": self._step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue at a position that :meth:`state_dict` gave.

        Raises
        ------
        ResumeError
            Where the state belongs to another stream.
        """
        self.windows.load_state(state)
        self._epoch, self._step = int(state["epoch"]), int(state["step"])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open stream behind: mapped files would be copied."""
        return {**self.__dict__, "_opened": None}

    def _pins(self) -> bool:
        if self.pin is None:
            return torch.cuda.is_available() and get_worker_info() is None
        return self.pin

    def _batches(self, first_step: int, stride: int) -> Iterator[Tensors]:
        arrays = self.windows.steps(self._epoch, first_step=first_step, stride=stride)
        if self._pins():
            return ahead((to_pinned(batch) for batch in arrays), "pin")
        return (to_tensors(batch) for batch in arrays)


def _writable(array: AnyArray) -> AnyArray:
    """Copy what is read-only: torch warns of it, since a tensor could write."""
    return array if array.flags.writeable else np.array(array)
