"""The loop's step as a LightningModule wants it: its own loss, its own optimiser and schedule."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seawall.errors import ConfigError, StageError, nearest
from seawall.losses.config import SumConfig
from seawall.losses.objective import TermValue
from seawall.models.lightning_module import Configured, Lightning, Position, lightning_of
from seawall.models.user_module import WHERE
from seawall.train.adamw import AdamW, AdamWState
from seawall.train.checkpoint import OptimizerState
from seawall.train.config import TrainConfig
from seawall.train.inference import batch_tensors, to_scaled
from seawall.train.micro import parts_of
from seawall.train.step import Stepper, StepSums
from seawall.windows.gather import Batch
from seawall.windows.stream import Windows

OPTIMIZER_FIELDS = ("learning_rate", "weight_decay", "schedule")


@dataclass(frozen=True, slots=True)
class LightningStepper(Stepper):
    """Adds up the gradients of ``training_step``.

    It is given the samples whose targets are all known, in scaled units, and what it returns is taken for the mean over
    them: each sample weighs the same in a short last batch, and in a batch that is worked through in parts.
    """

    lightning: Lightning
    is_whole: bool
    """Whether a batch is a date, which its loss may compare the names of: it is never cut."""

    def add_gradients(self, batch: Batch, *, parts: int, size: float, factor: float) -> StepSums:
        """Add the gradients of a batch to those that are there; see :class:`~seawall.train.step.Stepper`.

        Raises
        ------
        NotFiniteError
            Before the part that is not finite goes backward.
        StageError
            Where a date would have to be cut, or the user's code fails.
        """
        others = [TermValue(torch.zeros(()), 0.0) for _ in self.objective.terms[1:]]
        sums = StepSums([0.0] * (1 + len(others)), [0.0] * (1 + len(others)))
        if not len(batch.x):
            return sums
        if parts > 1 and self.is_whole:
            do = "Lower its activations, or choose an order whose batches are not dates."
            raise StageError(WHERE, "a date does not fit in memory, and training_step cannot be cut", do=do)
        self.model.train()
        target_BK = to_scaled(batch.y, self.scaler)
        for cut in parts_of(len(batch.x), parts):
            known = np.flatnonzero(~np.isnan(target_BK[cut]).any(axis=1))
            if not len(known):
                continue
            loss = self._loss(batch_tensors(batch, cut, self.device), torch.from_numpy(target_BK[cut]), known)
            if loss is None:
                continue
            sums.add([TermValue(loss.detach() * len(known), len(known)), *others])
            torch.autograd.backward(loss * (factor * len(known) / size))
        return sums

    def _loss(self, given: tuple[Tensor | None, ...], target_BK: Tensor, known: Any) -> Tensor | None:  # noqa: ANN401 - an array
        y_BK = target_BK.to(self.device)
        if len(known) < len(y_BK):
            rows = torch.from_numpy(known).to(self.device)
            given = tuple(None if part is None else part[rows] for part in given)
            y_BK = y_BK[rows]
        x_BLF, *beside = given
        if x_BLF is None:
            return None
        with self._autocast():
            loss = self.lightning.loss(x_BLF, y_BK, tuple(beside))
        return None if loss is None else loss.float().reshape(())


class LightningOptimizer:
    """The optimiser of a LightningModule with its schedules, with the face of ours.

    Memory is what it keeps of each weight, which the probe has measured.
    """

    def __init__(self, made: Configured) -> None:
        self.made, self.parameters = made, made.parameters
        self._num_steps = self._num_epochs = 0

    @property
    def learning_rate(self) -> float:
        """Rate of the first group of weights."""
        return float(self.made.optimizer.param_groups[0]["lr"])

    @property
    def state(self) -> dict[str, Any]:
        """What the next step depends on besides weights and gradients."""
        return {**self.made.state, "num_steps": self._num_steps, "num_epochs": self._num_epochs}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.made.optimizer.load_state_dict(state["optimizer"])
        for one, saved in zip(self.made.schedules, state["schedules"], strict=True):
            one.scheduler.load_state_dict(saved)
        self._num_steps, self._num_epochs = state["num_steps"], state["num_epochs"]

    def step(self, *, largest_norm: float, factor: float = 1.0) -> bool:
        """Scale all gradients together to ``largest_norm`` where they exceed it, take one step, drop the gradients.

        Where a gradient is not finite no step is taken, and the answer is False.
        """
        if factor != 1.0:
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad.div_(factor)
        norm = nn.utils.clip_grad_norm_(self.parameters, largest_norm)
        if not math.isfinite(norm):
            self.drop_gradients()
            return False
        self.made.optimizer.step()
        self.drop_gradients()
        self._num_steps += 1
        for one in self.made.schedules:
            if one.is_by_step and self._num_steps % one.frequency == 0:
                one.scheduler.step()
        return True

    def end_epoch(self, numbers: Mapping[str, Any]) -> None:
        """Move the schedules of epochs; one that watches a number is given that of this epoch.

        Raises
        ------
        ConfigError
            Where an epoch has no such number.
        """
        self._num_epochs += 1
        for one in self.made.schedules:
            if one.is_by_step or self._num_epochs % one.frequency:
                continue
            if one.monitor is None:
                one.scheduler.step()
                continue
            if one.monitor not in numbers:
                do = nearest(one.monitor, numbers)
                raise ConfigError(WHERE, "no such number to monitor", found=repr(one.monitor), do=do)
            if numbers[one.monitor] is not None:
                one.scheduler.step(numbers[one.monitor])

    @property
    def has_gradients(self) -> bool:
        """Whether any gradient waits for its step."""
        return any(parameter.grad is not None for parameter in self.parameters)

    def drop_gradients(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None


def learning(
    config: TrainConfig, plain: Stepper, windows: Windows
) -> tuple[Stepper, AdamW | LightningOptimizer, Position | None]:
    """Choose what adds gradients up and what moves weights: ours, or what a LightningModule brings of either.

    The third is what a LightningModule is told of the training; None for all other models.
    """
    lightning = lightning_of(plain.model)
    if lightning is None:
        return plain, _ours(config, plain.model), None
    position, grouped = lightning.position, config.accumulate_batches
    position.max_epochs, position.num_training_batches = config.max_epochs, windows.num_batches
    position.estimated_stepping_batches = -(-windows.num_batches // grouped) * config.max_epochs
    refuse_unheard(config, lightning, has_weights=windows.gather.has_weights)
    shared = {name: getattr(plain, name) for name in Stepper.__dataclass_fields__}
    is_whole = windows.order == "by_time"
    stepper = LightningStepper(**shared, lightning=lightning, is_whole=is_whole) if lightning.has_step else plain
    theirs = LightningOptimizer(lightning.optimizer()) if lightning.has_optimizer else _ours(config, plain.model)
    return stepper, theirs, position


def restore(optimizer: AdamW | LightningOptimizer, state: OptimizerState) -> None:
    """Give an optimiser the state it was saved with.

    Raises
    ------
    ConfigError
        Where it is the state of another kind: a checkpoint of the same key never is.
    """
    match optimizer, state:
        case AdamW(), AdamWState():
            optimizer.restore(state)
        case LightningOptimizer(), dict():
            optimizer.restore(state)
        case _:
            raise ConfigError(WHERE, "the checkpoint is of another optimiser", found=type(state).__name__)


def _ours(config: TrainConfig, model: nn.Module) -> AdamW:
    return AdamW(model.parameters(), learning_rate=config.learning_rate, weight_decay=config.weight_decay)


def refuse_unheard(config: TrainConfig, lightning: Lightning, *, has_weights: bool) -> None:
    """Raise for choices of the config that the module's own training would pass over.

    Raises
    ------
    ConfigError
        Naming the choice.
    """
    if lightning.has_step and has_weights:
        do = "Set weighted: false and entity_weights: none, or leave training_step out."
        raise ConfigError("train.weighted", "training_step cannot be told the weights of samples", do=do)
    if lightning.has_step and isinstance(config.loss, SumConfig):
        do = "Choose a single loss, by which valid is judged, or leave training_step out."
        raise ConfigError("train.loss", "training_step has a loss of its own", found="sum", do=do)
    if not lightning.has_optimizer:
        return
    for name in OPTIMIZER_FIELDS:
        found = getattr(config, name)
        if found != TrainConfig.model_fields[name].get_default():
            what, do = "configure_optimizers of the module decides this", "Leave it out, here or there."
            raise ConfigError(f"train.{name}", what, found=str(found), do=do)
