"""The training loop of one fold: plain PyTorch, resumable at every step, keeping the weights of the best epoch."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from seawall.budget.heartbeat import Beat
from seawall.errors import StageError
from seawall.losses.pointwise import summed_loss
from seawall.stores.scalers import Scaler
from seawall.train.adamw import AdamW
from seawall.train.checkpoint import Checkpoint, Progress, Weights
from seawall.train.config import TrainConfig
from seawall.train.determinism import random_state, restore_random_state
from seawall.train.gpu import drop_step, next_parts
from seawall.train.inference import batch_tensors, to_scaled
from seawall.train.micro import parts_of
from seawall.train.validate import TargetScore, Validation
from seawall.windows.gather import Batch
from seawall.windows.stream import Windows


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


@dataclass(frozen=True, slots=True)
class FitResult:
    """What training leaves behind."""

    weights: Weights
    progress: Progress
    stopped: str
    """``patience`` or ``epochs``."""


class Trainer:
    """Train one model; the position is (epoch, step).

    Memory is four times the weights (weights, gradients, two moments), the best and the checkpointed weights, the
    activations of one batch, and two batches of windows.

    Parameters
    ----------
    save
        Called with a checkpoint at the end of each epoch, and within one every ``checkpoint_seconds``.
    where
        Name of this training in messages.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: nn.Module,
        windows: Windows,
        scaler: Scaler,
        validate: Validate,
        device: torch.device,
        *,
        save: Callable[[Checkpoint], None],
        where: str,
    ) -> None:
        self.config, self.windows, self.scaler, self.validate = config, windows, scaler, validate
        self.device, self.save, self.where = device, save, where
        self.parts = 1
        """Parts a batch is worked through in; a GPU that is full raises it."""
        self.tell: Tell = tell_nobody
        self.model = model.to(device)
        self.optimizer = AdamW(
            self.model.parameters(), learning_rate=config.learning_rate, weight_decay=config.weight_decay
        )
        self.progress = Progress()
        self.best: Weights = {}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue where a checkpoint was taken, to the last bit."""
        self.model.load_state_dict(checkpoint.model)
        self.optimizer.restore(checkpoint.optimizer)
        restore_random_state(checkpoint.random, self.device)
        self.progress, self.best = checkpoint.progress, checkpoint.best

    def fit(self, beat: Beat) -> FitResult:
        """Train until the epochs are over or patience is."""
        while not self._stopped():
            self._epoch(beat)
        return FitResult(self.best, self.progress, self._stopped())

    def _stopped(self) -> str:
        progress = self.progress
        if progress.epoch >= self.config.max_epochs:
            return "epochs"
        epochs_since_best = progress.epoch - 1 - progress.best_epoch
        return "patience" if progress.history and epochs_since_best >= self.config.patience else ""

    def _epoch(self, beat: Beat) -> None:
        progress, started = self.progress, time.monotonic()
        seconds_before, saved_at, reported_at = progress.epoch_seconds, started, started
        substep = f"epoch {progress.epoch}: train"
        batches = self.windows.epoch(progress.epoch, first_step=progress.step)
        while (batch := self._next(batches)) is not None:
            loss = self._step(batch)
            progress.step += 1
            now = time.monotonic()
            progress.epoch_seconds = seconds_before + now - started
            if now - saved_at >= self.config.checkpoint_seconds:
                self.save(self._checkpoint())
                saved_at = time.monotonic()
            if 0 < 60 * self.config.report_minutes <= now - reported_at and progress.step < self.windows.num_batches:
                self._report(beat)
                reported_at = time.monotonic()
            beat(substep, progress.step, self.windows.num_batches, loss=loss)
        validation = self.validate(self.model, beat, f"epoch {progress.epoch}: valid")
        progress.epoch_seconds = seconds_before + time.monotonic() - started
        self._close_epoch(validation)
        self.save(self._checkpoint())

    def _next(self, batches: Iterator[Batch]) -> Batch | None:
        """Take the next batch, and count how long the step had to wait for it."""
        asked = time.monotonic()
        batch = next(batches, None)
        self.progress.loader_wait_seconds += time.monotonic() - asked
        return batch

    def _report(self, beat: Beat) -> None:
        """Judge the model within an epoch, exactly and on all of valid: it draws nothing and moves no weight."""
        substep = f"epoch {self.progress.epoch}: report after step {self.progress.step}"
        report = {"step": self.progress.step, **self._numbers(self.validate(self.model, beat, substep))}
        self.progress.reports.append(report)
        self.tell(report)

    def _watched(self, validation: Validation) -> TargetScore:
        return validation.targets[self.config.target_names.index(self.config.watched)]

    def _numbers(self, validation: Validation) -> dict[str, float | None]:
        progress, watched = self.progress, self._watched(validation)
        return {
            "epoch": progress.epoch,
            "train_loss": progress.loss_total / progress.loss_count if progress.loss_count else None,
            "valid_loss": validation.loss,
            "valid_ic": _or_none(watched.ic),
            "valid_rank_ic": _or_none(watched.rank_ic),
            "learning_rate": self.config.learning_rate,
            "seconds": round(progress.epoch_seconds, 3),
            "loader_wait_seconds": round(progress.loader_wait_seconds, 4),
            **self._numbers_of_targets(validation),
        }

    def _numbers_of_targets(self, validation: Validation) -> dict[str, float | None]:
        """Give the scores of each target by its name; nothing where there is one target."""
        names = self.config.target_names
        if len(names) == 1:
            return {}
        scores = zip(names, validation.targets, strict=True)
        return {
            f"valid_{what}_{name}": _or_none(getattr(score, what))
            for name, score in scores
            for what in ("loss", "ic", "rank_ic")
        }

    def _step(self, batch: Batch) -> float:
        """Take one step; give the mean loss of the batch. A GPU that is full gets the same batch in smaller parts."""
        while True:
            states = random_state(self.device) if self.device.type == "cuda" else []
            try:
                total, count = self._gradients(batch)
                break
            except torch.OutOfMemoryError:
                self.parts = next_parts(self.parts, self.windows.batch_size)
            drop_step(self.model)
            restore_random_state(states, self.device)
        if count == 0:
            self.progress.num_empty_batches += 1
            return 0.0
        self.optimizer.step(largest_norm=self.config.gradient_clip)
        self.progress.loss_total += total
        self.progress.loss_count += count
        return total / count

    def _gradients(self, batch: Batch) -> tuple[float, float]:
        """Add up the gradients of a batch, part by part; give its summed loss and the weight of its targets."""
        self.model.train()
        target = torch.from_numpy(to_scaled(batch.y, self.scaler)).to(self.device)
        weight = None if batch.weight is None else torch.from_numpy(batch.weight).to(self.device)
        total, count = 0.0, 0.0
        for part in parts_of(len(batch.x), self.parts):
            predicted = self.model(*batch_tensors(batch, part, self.device))
            summed = summed_loss(self.config.loss, predicted, target[part], None if weight is None else weight[part])
            if summed.count == 0:
                continue
            total += float(summed.total.detach())
            count += summed.count
            if not math.isfinite(total):
                raise self._not_finite(total)
            # Divided by the full batch size, not by what this batch holds: every sample weighs the same, also in a
            # short last batch. Where a step is a date, every date weighs the same.
            size = len(batch) if self.windows.order == "by_time" else self.windows.batch_size
            torch.autograd.backward(summed.total / size)
        return total, count

    def _close_epoch(self, validation: Validation) -> None:
        progress = self.progress
        if not math.isfinite(validation.loss):
            raise self._not_finite(validation.loss)
        watched = self._watched(validation)
        score = -watched.loss if self.config.early_stopping == "valid_loss" else watched.ic
        is_best = not self.best or (
            not math.isnan(score) and (progress.best_score is None or score > progress.best_score)
        )
        if is_best:
            progress.best_epoch = progress.epoch
            progress.best_score = None if math.isnan(score) else score
            self.best = _copied(self.model.state_dict())
        progress.history.append(self._numbers(validation))
        self.tell(progress.history[-1])
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.loss_total, progress.loss_count, progress.epoch_seconds = 0.0, 0, 0.0
        progress.loader_wait_seconds = 0.0

    def _checkpoint(self) -> Checkpoint:
        weights, state = self.model.state_dict(), self.optimizer.state
        return Checkpoint(self.progress, weights, state, random_state(self.device), self.best)

    def _not_finite(self, loss: float) -> StageError:
        place = f"{self.where}, epoch {self.progress.epoch}, step {self.progress.step}"
        do = "Lower train.learning_rate or train.feature_clip_sigmas."
        return StageError(place, "the loss is not finite", found=str(loss), do=do)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _copied(weights: dict[str, Tensor]) -> Weights:
    return {name: value.detach().to("cpu", copy=True) for name, value in weights.items()}
