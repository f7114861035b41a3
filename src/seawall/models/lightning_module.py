"""What a LightningModule brings beside its network: the loss of its ``training_step``, its optimiser and its schedule.

Nothing of Lightning is imported here: the user's own file does that, and its classes are known by their names.
"""

import inspect
import io
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from seawall.errors import ConfigError
from seawall.models.user_module import WHERE, UserModule, told

BASE = "LightningModule"

LONGEST = 1000
"""Steps a schedule is told of while a module is tried."""


@dataclass(slots=True)
class Position:
    """What ``self.trainer`` knows here: where training is and how far it goes."""

    current_epoch: int = 0
    global_step: int = 0
    """Steps of the optimiser that are taken."""
    max_epochs: int = 1
    estimated_stepping_batches: int = LONGEST
    """Steps of all epochs."""
    num_training_batches: int = LONGEST
    batch_index: int = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - it always raises
        """Say what there is."""
        known = ", ".join(one for one in Position.__dataclass_fields__ if one != "batch_index")
        raise AttributeError(f"the training here has no trainer.{name}; it has {known}")


class TrainingBatch(tuple[Tensor, ...]):
    """What ``training_step`` is given: ``x, y = batch``, with ``static`` and ``entity`` after them where asked for.

    The same tensors go by name too: ``batch["x"]``.
    """

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - names beside numbers
        """Give one by its number or name."""
        if isinstance(key, str):
            names = self._names()
            if key not in names:
                raise KeyError(f"{key!r}; there are {', '.join(names)}")
            return super().__getitem__(names.index(key))
        return super().__getitem__(key)

    def _names(self) -> list[str]:
        beside = ["entity" if part.dtype == torch.int64 else "static" for part in tuple(self)[2:]]
        return ["x", "y", *beside]


@dataclass(frozen=True, slots=True)
class Lightning:
    """A LightningModule as it is trained here.

    ``forward`` predicts, as of any module. Of the rest of Lightning there are ``training_step``,
    ``configure_optimizers`` and of ``self.trainer`` what :class:`Position` has; ``self.log`` goes nowhere, and no other
    hook is called.
    """

    model: UserModule
    has_step: bool
    """Whether it has a ``training_step`` of its own; else the loss is that of the config."""
    has_optimizer: bool
    """Whether it has ``configure_optimizers``; else the optimiser is that of the config."""
    has_column: bool
    """Whether ``forward`` gives [B, K], and not [B]: targets are given in the same shape."""
    position: Position = field(default_factory=Position)

    @property
    def inner(self) -> Any:  # noqa: ANN401 - a LightningModule, which is not imported here
        """The user's own module."""
        return self.model.inner

    def loss(self, x_BLF: Tensor, y_BK: Tensor, beside: tuple[Tensor | None, ...]) -> Tensor | None:
        """Ask ``training_step`` for the loss of a batch; None where it gives none, and the batch is left out.

        Raises
        ------
        StageError
            Where its code raises, or gives something else.
        """
        y = y_BK if self.has_column else y_BK[:, 0]
        batch = TrainingBatch((x_BLF, y, *(part for part in beside if part is not None)))
        file, inner = self.model.file, self.inner
        try:
            found = inner.training_step(batch, self.position.batch_index)
        except Exception as error:
            called_with = f"x {list(x_BLF.shape)}, y {list(y.shape)}"
            raise told(error, file, "training_step failed", called_with, while_running=True) from error
        loss = found.get("loss") if isinstance(found, Mapping) else found
        if loss is None or (isinstance(loss, Tensor) and loss.numel() == 1 and loss.requires_grad):
            return loss
        shown = f"{list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        do = f"Return one number that gradients go back from, or a dict with it as loss, in {file}."
        raise ConfigError(WHERE, "training_step gives no loss", found=shown, allowed="a tensor of one value", do=do)

    def optimizer(self) -> "Configured":
        """Ask ``configure_optimizers``; what it gives must have a state that can be saved without pickles.

        Raises
        ------
        ConfigError
            Where there is not one optimiser.
        """
        file = self.model.file
        try:
            found = self.inner.configure_optimizers()
        except Exception as error:
            raise told(error, file, "configure_optimizers failed") from error
        optimizers, schedules = _listed(found)
        if len(optimizers) != 1 or not isinstance(optimizers[0], torch.optim.Optimizer):
            what, do = "configure_optimizers gives not one optimiser", f"Give one torch optimiser in {file}."
            raise ConfigError(WHERE, what, found=f"{len(optimizers)} of {type(found).__name__}", do=do)
        if inspect.signature(optimizers[0].step).parameters["closure"].default is inspect.Parameter.empty:
            do = "Choose one that steps by gradients alone."
            found = type(optimizers[0]).__name__
            raise ConfigError(
                WHERE, "an optimiser that calls the model by itself cannot be used here", found=found, do=do
            )
        made = Configured(optimizers[0], tuple(_schedule(one, file.name) for one in schedules))
        _check_saved(made)
        return made


@dataclass(frozen=True, slots=True)
class Schedule:
    """A learning rate scheduler, and when it moves."""

    scheduler: Any
    is_by_step: bool
    frequency: int
    monitor: str | None
    """Number of an epoch that it is given; None: none."""


@dataclass(frozen=True, slots=True)
class Configured:
    """What ``configure_optimizers`` gives."""

    optimizer: torch.optim.Optimizer
    schedules: tuple[Schedule, ...]

    @property
    def state(self) -> dict[str, Any]:
        """All that the next step depends on besides weights and gradients."""
        schedules = [one.scheduler.state_dict() for one in self.schedules]
        return {"optimizer": self.optimizer.state_dict(), "schedules": schedules}

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The weights that it moves."""
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]


def lightning_of(model: nn.Module) -> Lightning | None:
    """Find what a user's module brings of its own; None where it is no LightningModule.

    Raises
    ------
    ConfigError
        Where it wants to take its steps by itself, or one of its choices cannot be kept to here.
    """
    if not isinstance(model, UserModule):
        return None
    base = next((one for one in type(model.inner).__mro__ if one.__name__ == BASE), None)
    if base is None:
        return None
    inner: Any = model.inner
    has_step, has_optimizer = (
        getattr(type(inner), name) is not getattr(base, name) for name in ("training_step", "configure_optimizers")
    )
    if not inner.automatic_optimization:
        do = "Leave automatic_optimization on, and return the loss."
        raise ConfigError(WHERE, "a module that takes its steps by itself cannot be resumed here", do=do)
    if has_step and model.config.output == "sequence":
        do = "Leave training_step out: the loss of the config masks steps whose target is not known."
        raise ConfigError(WHERE, "training_step cannot be told which steps of a sequence count", do=do)
    lightning = Lightning(model, has_step, has_optimizer, _gives_column(model))
    inner.trainer = lightning.position
    inner.log = inner.log_dict = _drop
    return lightning


def _drop(*values: object, **options: object) -> None:
    """Take what is logged and let it go: it would be lost on a resume."""


def _gives_column(model: UserModule) -> bool:
    """Ask ``forward`` for two samples of zeros; draws nothing."""
    device = next(model.parameters()).device
    x_BLF = torch.zeros(2, model.shape.lookback_periods, model.shape.num_features, device=device)
    beside: dict[str, Tensor] = {}
    if model.config.static:
        beside["static"] = torch.zeros(2, model.shape.num_static, device=device)
    if model.config.entities:
        beside["entity"] = torch.zeros(2, dtype=torch.int64, device=device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            found = model.inner(x_BLF, **beside)
    except Exception as error:
        raise told(error, model.file, "forward failed", f"features {list(x_BLF.shape)}", while_running=True) from error
    model.train(was_training)
    return not isinstance(found, Tensor) or found.dim() > 1


def _listed(found: object) -> tuple[list[Any], list[Any]]:
    """Take apart the forms in which Lightning lets optimisers and schedules be given."""
    if isinstance(found, Mapping):
        schedule = found.get("lr_scheduler")
        if isinstance(schedule, list | tuple):
            return [found.get("optimizer")], list(schedule)
        return [found.get("optimizer")], [] if schedule is None else [schedule]
    if isinstance(found, tuple) and len(found) == 2 and all(isinstance(part, list | tuple) for part in found):
        return list(found[0]), list(found[1])
    if isinstance(found, list | tuple):
        return list(found), []
    return ([] if found is None else [found]), []


def _schedule(given: Any, file: str) -> Schedule:  # noqa: ANN401 - any form of one
    choices: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {"scheduler": given}
    scheduler, monitor = choices.get("scheduler"), choices.get("monitor")
    if not hasattr(scheduler, "step") or not hasattr(scheduler, "state_dict"):
        raise ConfigError(WHERE, "not a learning rate scheduler", found=type(scheduler).__name__, do=f"See {file}.")
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        monitor = monitor or "valid_loss"
    if monitor is not None:
        monitor = "valid_" + monitor.removeprefix("val_") if monitor.startswith("val_") else str(monitor)
    return Schedule(scheduler, choices.get("interval", "epoch") == "step", int(choices.get("frequency", 1)), monitor)


def _check_saved(made: Configured) -> None:
    """Raise where the state cannot be read back without running code."""
    kept = io.BytesIO()
    torch.save(made.state, kept)
    kept.seek(0)
    try:
        torch.load(kept, weights_only=True)
    except pickle.UnpicklingError as error:
        do = "Choose an optimiser and schedules whose state is tensors and plain values."
        raise ConfigError(WHERE, "the state of the optimiser cannot be saved", found=str(error)[:200], do=do) from error


def state_bytes(made: Configured) -> int:
    """Count the tensors of the state, which are there from the first step on."""
    return sum(value.numel() * value.element_size() for value in _tensors(made.optimizer.state))


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
