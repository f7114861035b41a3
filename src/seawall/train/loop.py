"""The training loop of one fold: plain PyTorch, resumable at every step, keeping the weights of the best epoch."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from seawall.budget.heartbeat import Beat
from seawall.errors import StageError
from seawall.losses.objective import Objective, terms_of
from seawall.stores.scalers import Scaler
from seawall.train.adamw import AdamW
from seawall.train.average import Average
from seawall.train.calls import KeepBatch, Tell, Validate, keep_nothing, tell_nobody
from seawall.train.checkpoint import Checkpoint, Progress, Weights
from seawall.train.config import TrainConfig
from seawall.train.determinism import random_state, restore_random_state
from seawall.train.environment import changes, environment
from seawall.train.gpu import drop_step, next_parts
from seawall.train.lightning_step import LightningOptimizer, learning, restore
from seawall.train.numbers import Judged, epoch_numbers
from seawall.train.ranks import ALONE
from seawall.train.scaling import LossScale, first_scale
from seawall.train.schedule import rate_share
from seawall.train.schedule_config import PlateauConfig
from seawall.train.step import NotFiniteError, Stepper, StepSums
from seawall.windows.gather import Batch
from seawall.windows.stream import Windows


@dataclass(frozen=True, slots=True)
class FitResult:
    """What training leaves behind."""

    weights: Weights
    progress: Progress
    stopped: str
    """``patience`` or ``epochs``."""


SCORES = {
    "valid_loss": ("loss", -1.0),
    "valid_ic": ("ic", 1.0),
    "valid_rank_ic": ("rank_ic", 1.0),
    "valid_mse": ("mse", -1.0),
    "valid_mae": ("mae", -1.0),
    "valid_r2": ("r2", 1.0),
    "valid_pearson": ("pearson", 1.0),
    "valid_ccc": ("ccc", 1.0),
}
"""Scores that may be watched, by the field of a target's score, and whether less or more is better."""


class Trainer:
    """Train one model; the position is (epoch, step).

    Memory is four times the weights (weights, gradients, two moments), the best and the checkpointed weights, their
    average where one is kept, the activations of one batch, and two batches of windows.

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
        self.config, self.windows, self.validate = config, windows, validate
        self.device, self.save, self.where = device, save, where
        self.parts = 1
        """Parts a batch is worked through in; a GPU that is full raises it."""
        self.tell: Tell = tell_nobody
        self.keep_batch: KeepBatch = keep_nothing
        self.judge_train: Validate | None = None
        """Judges on what is learnt from; None: nobody asks."""
        self.ranks = ALONE
        """Processes that train this model together, each on its share of ``windows``."""
        self.model = model.to(device)
        self.objective = Objective(terms_of(config.loss, config.target_names))
        plain = Stepper(self.model, self.objective, scaler, device, config.precision)
        self.stepper, self.optimizer, self.position = learning(config, plain, windows)
        self.scale = LossScale(first_scale(config.precision))
        self.average = None if config.ema_decay is None else Average(self.model, config.ema_decay)
        self.progress = Progress(loss_factor=self.scale.factor)
        self.best: Weights = {}
        self._group_states: list[Tensor] = []
        """Random draws of a GPU before the first batch of the step that is being accumulated."""

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue where a checkpoint was taken: to the last bit, or, where the machine is another, to rounding."""
        self.model.load_state_dict(checkpoint.model)
        restore(self.optimizer, checkpoint.optimizer)
        self._restore_draws(checkpoint)
        self.progress, self.best = checkpoint.progress, checkpoint.best
        self.scale = LossScale(self.progress.loss_factor, self.progress.num_good_steps)
        if self.average is not None:
            self.average.restore(self.progress.num_averaged, checkpoint.average)
        if changed := changes(checkpoint.environment, environment(world_size=self.ranks.world_size)):
            place = {"epoch": self.progress.epoch, "step": self.progress.step}
            self.progress.resumed.append({**place, "changed": changed})

    def _restore_draws(self, checkpoint: Checkpoint) -> None:
        """Go on drawing where this rank was; one that was not there goes on from its own seed."""
        before = int(checkpoint.environment.get("world_size", "1"))
        if self.ranks.rank < before:
            each = len(checkpoint.random) // before
            restore_random_state(checkpoint.random[self.ranks.rank * each :][:each], self.device)

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
        substep, num_batches = f"epoch {progress.epoch}: train", self.windows.num_batches
        batches = self.windows.epoch(progress.epoch, first_step=progress.step)
        while (batch := self._next(batches)) is not None:
            loss = self._learn(batch)
            progress.step += 1
            if moves := progress.step % self.config.accumulate_batches == 0 or progress.step == num_batches:
                self._move()
            now = time.monotonic()
            progress.epoch_seconds = seconds_before + now - started
            saves, reports = self.ranks.first_says(
                # Gradients that wait for their step are in no checkpoint.
                moves and now - saved_at >= self.config.checkpoint_seconds,
                0 < 60 * self.config.report_minutes <= now - reported_at and progress.step < num_batches,
            )
            if saves:
                self.save(self._checkpoint())
                saved_at = time.monotonic()
            if reports:
                self._report(beat)
                reported_at = time.monotonic()
            beat(substep, progress.step, num_batches, **self._in_passing(loss))
        judged = self._judge(beat, f"epoch {progress.epoch}: valid")
        progress.epoch_seconds = seconds_before + time.monotonic() - started
        self._close_epoch(judged)
        self.save(self._checkpoint())

    def _in_passing(self, loss: float | None) -> dict[str, float]:
        """Tell what a progress bar shows; what is undefined is left out."""
        progress = self.progress
        last = progress.history[-1].get("valid_ic") if progress.history else None
        undefined = {"loss": loss, "valid_ic": last}
        return {
            # Where a batch is a date, its size is not that of the config: the mean holds in every order.
            "batch_rows": self.windows.samples.num_samples / self.windows.num_batches,
            "epoch_seconds": progress.epoch_seconds,
            "loader_wait_seconds": progress.loader_wait_seconds,
            **{name: value for name, value in undefined.items() if value is not None},
        }

    def _next(self, batches: Iterator[Batch]) -> Batch | None:
        """Take the next batch, and count how long the step had to wait for it."""
        asked = time.monotonic()
        batch = next(batches, None)
        self.progress.loader_wait_seconds += time.monotonic() - asked
        return batch

    def _judge(self, beat: Beat, substep: str) -> Judged:
        """Judge the weights that would be kept now, on valid and beside it in sample: it draws nothing, moves none."""
        with nullcontext() if self.average is None else self.average.in_place(self.model):
            valid = self.validate(self.model, beat, substep)
            if self.judge_train is None:
                return valid, None
            return valid, self.judge_train(self.model, beat, f"{substep} beside train")

    def _report(self, beat: Beat) -> None:
        """Judge the model within an epoch, exactly and on all of valid."""
        substep = f"epoch {self.progress.epoch}: report after step {self.progress.step}"
        report = {"step": self.progress.step, **self._numbers(self._judge(beat, substep))}
        self.progress.reports.append(report)
        self.tell(report)

    def _numbers(self, judged: Judged) -> dict[str, float | None]:
        progress, config = self.progress, self.config
        numbers = epoch_numbers(config.target_names, config.watched, self.objective, progress, judged, self._rate())
        return (
            numbers if self.position is None else {k: v for k, v in numbers.items() if not k.startswith("train_term")}
        )

    def _note_position(self) -> None:
        """Tell a LightningModule where training is."""
        if self.position is None:
            return
        grouped, progress = self.config.accumulate_batches, self.progress
        self.position.current_epoch, self.position.batch_index = progress.epoch, progress.step
        self.position.global_step = progress.epoch * -(-self.windows.num_batches // grouped) + progress.step // grouped

    def _learn(self, batch: Batch) -> float | None:
        """Add the gradients of a batch; give its mean loss, None where it has none.

        A GPU that is full gets the same batch in smaller parts, after all that the step had before it.
        """
        if self.progress.step % self.config.accumulate_batches == 0:
            self._group_states = random_state(self.device) if self.device.type == "cuda" else []
        size = self._size(batch)
        self._note_position()
        factor = self.scale.factor / (self.config.accumulate_batches * self._dates_at_once)
        while True:
            states = random_state(self.device) if self.device.type == "cuda" else []
            try:
                sums = self.stepper.add_gradients(batch, parts=self.parts, size=size, factor=factor)
                break
            except NotFiniteError as error:
                return self._count(batch, error)
            except torch.OutOfMemoryError:
                self.parts = next_parts(self.parts, self.windows.batch_size)
            self._drop_and_repeat(factor)
            if states:
                restore_random_state(states, self.device)
        return self._count(batch, sums)

    def _size(self, batch: Batch) -> float:
        """Count what a batch is divided by.

        The full batch size, not what this batch holds: every sample weighs the same, also in a short last batch. Where
        a step is a date, every date weighs the same.
        """
        size = len(batch) if self.windows.order == "by_time" else self.windows.batch_size
        return size * (batch.y[:1, ..., 0].size or 1)  # steps of a sample that each count

    def _drop_and_repeat(self, factor: float) -> None:
        """Forget what a batch that did not fit has left in the gradients, and add up again what was there before it.

        The batches of the step before this one are read and worked through once more, in the parts that hold now. What
        they have counted stays counted.
        """
        first = self.progress.step - self.progress.step % self.config.accumulate_batches
        while True:
            drop_step(self.model)
            if self._group_states:
                restore_random_state(self._group_states, self.device)
            try:
                before = self.windows.epoch(self.progress.epoch, first_step=first)
                for batch in islice(before, self.progress.step - first):
                    self._repeat(batch, factor)
            except torch.OutOfMemoryError:
                self.parts = next_parts(self.parts, self.windows.batch_size)
            else:
                return

    def _repeat(self, batch: Batch, factor: float) -> None:
        try:
            self.stepper.add_gradients(batch, parts=self.parts, size=self._size(batch), factor=factor)
        except NotFiniteError:  # skipped before, with what it was accumulated with
            self.optimizer.drop_gradients()

    @property
    def _dates_at_once(self) -> int:
        """Dates of a global batch where a batch is a date: one for each rank. Their gradients are averaged."""
        return self.ranks.world_size if self.windows.order == "by_time" else 1

    def _count(self, batch: Batch, found: StepSums | NotFiniteError) -> float | None:
        """Take in what the batch has given on all ranks; nothing where any of them has a loss that is not finite."""
        if self.ranks.are_several:
            found = self._of_all_ranks(batch, found)
        if isinstance(found, NotFiniteError):
            self._refuse(batch, found)
            return None
        sums, progress = found, self.progress
        progress.totals = [a + b for a, b in zip(progress.totals or [0.0] * len(sums.totals), sums.totals, strict=True)]
        progress.counts = [a + b for a, b in zip(progress.counts or [0.0] * len(sums.counts), sums.counts, strict=True)]
        progress.num_flat += sums.num_flat
        loss = self.objective.mean(sums.totals, sums.counts)
        progress.num_empty_batches += loss is None
        return loss

    def _of_all_ranks(self, batch: Batch, found: StepSums | NotFiniteError) -> StepSums | NotFiniteError:
        ranks, num_terms = self.ranks, len(self.objective.terms)
        failed = [float(isinstance(found, NotFiniteError) and rank == ranks.rank) for rank in range(ranks.world_size)]
        sums = StepSums([0.0] * num_terms, [0.0] * num_terms) if isinstance(found, NotFiniteError) else found
        added = ranks.add_up([*failed, *sums.totals, *sums.counts, sums.num_flat])
        failed, numbers = added[: ranks.world_size], added[ranks.world_size :]
        if not any(failed):
            return StepSums(numbers[:num_terms], numbers[num_terms:-1], int(numbers[-1]))
        source = failed.index(1.0)
        loss = ranks.from_rank(source, lambda: found.loss if isinstance(found, NotFiniteError) else math.nan)
        return NotFiniteError(loss, source)

    def _refuse(self, batch: Batch, error: NotFiniteError) -> None:
        """Leave out a batch whose loss is not finite, and what it is accumulated with; or stop with the batch saved."""
        if self.config.on_non_finite == "stop":
            saved = self.ranks.from_rank(error.rank, lambda: self._kept(batch))
            raise self._not_finite(error.loss, None if saved is None else Path(saved))
        self.optimizer.drop_gradients()
        self.progress.num_skipped_batches += 1

    def _kept(self, batch: Batch) -> str | None:
        saved = self.keep_batch(batch, self.model, self.progress)
        return None if saved is None else str(saved)

    def _move(self) -> None:
        """Take the step that the gradients say, if there are any."""
        self.ranks.add_gradients(self.optimizer.parameters)
        self.ranks.share_buffers(self.model)
        if not self.optimizer.has_gradients:
            return
        progress = self.progress
        if isinstance(self.optimizer, AdamW):
            self.optimizer.learning_rate = self._rate()
        is_good = self.optimizer.step(largest_norm=self.config.gradient_clip, factor=self.scale.factor)
        if not is_good and not self.scale.is_used:
            if self.config.on_non_finite == "stop":
                raise self._not_finite(math.nan, None)
            progress.num_skipped_batches += 1
        self.scale.note(is_good=is_good)
        progress.loss_factor, progress.num_good_steps = self.scale.factor, self.scale.num_good_steps
        if self.average is not None and is_good:
            self.average.update(self.model)
            progress.num_averaged = self.average.num_steps

    def _rate(self) -> float:
        """Give the learning rate of the step that comes next."""
        if isinstance(self.optimizer, LightningOptimizer):
            return self.optimizer.learning_rate
        grouped, progress = self.config.accumulate_batches, self.progress
        per_epoch = -(-self.windows.num_batches // grouped)
        step = progress.epoch * per_epoch + max(0, -(-progress.step // grouped) - 1)
        share = rate_share(self.config.schedule, step, per_epoch * self.config.max_epochs, progress.num_plateaus)
        return self.config.learning_rate * share

    def _close_epoch(self, judged: Judged) -> None:
        progress, validation = self.progress, judged[0]
        if not math.isfinite(validation.loss):
            raise self._not_finite(validation.loss, None)
        name, sign = SCORES[self.config.early_stopping]
        watched = validation.targets[self.config.target_names.index(self.config.watched)]
        score = sign * float(getattr(watched, name))
        is_best = not self.best or (
            not math.isnan(score) and (progress.best_score is None or score > progress.best_score)
        )
        if is_best:
            progress.best_epoch = progress.epoch
            progress.best_score = None if math.isnan(score) else score
            self.best = self._kept_weights()
        progress.history.append(self._numbers(judged))
        self.tell(progress.history[-1])
        if isinstance(self.optimizer, LightningOptimizer):
            self.optimizer.end_epoch(progress.history[-1])
        schedule, num_waited = self.config.schedule, progress.epoch - progress.best_epoch
        if isinstance(schedule, PlateauConfig) and num_waited and num_waited % schedule.patience == 0:
            progress.num_plateaus += 1
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.totals, progress.counts, progress.num_flat, progress.epoch_seconds = [], [], 0, 0.0
        progress.loader_wait_seconds = 0.0

    def _kept_weights(self) -> Weights:
        if self.average is None:
            return _copied(self.model.state_dict())
        with self.average.in_place(self.model):
            return _copied(self.model.state_dict())

    def _checkpoint(self) -> Checkpoint:
        weights, state = self.model.state_dict(), self.optimizer.state
        average = [] if self.average is None else self.average.weights
        random = self.ranks.gather(random_state(self.device))
        place = environment(world_size=self.ranks.world_size)
        return Checkpoint(self.progress, weights, state, random, self.best, average, place)

    def _not_finite(self, loss: float, saved: Path | None) -> StageError:
        place = f"{self.where}, epoch {self.progress.epoch}, step {self.progress.step}"
        do = "Lower train.learning_rate or train.feature_clip_sigmas."
        if math.isnan(loss) and saved is None and self.objective.by_date:
            do += " Or no date has enough names: lower min_names of the loss."
        if saved is not None:
            do += f" The batch is in {saved}."
        return StageError(place, "the loss is not finite", found=str(loss), do=do)


def _copied(weights: dict[str, Tensor]) -> Weights:
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in weights.items()}
