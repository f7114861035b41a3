"""Try a user's module before anything is planned: whether it keeps the contract, and what a pass of it holds."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from seawall.budget.processes import own_private_bytes
from seawall.errors import ConfigError, SeawallError
from seawall.models.lightning_module import lightning_of, state_bytes
from seawall.models.measure import peak_bytes
from seawall.models.module_config import Held, Measured, ModuleConfig
from seawall.models.shape import ModelShape
from seawall.models.user_module import WHERE, UserModule, told
from seawall.units import MIB

TRIED_SAMPLES = 4

MARGIN = 1.1
"""Operators have scratch of their own that is no tensor."""

LIBRARY_STEP_BYTES = 8 * MIB
"""What a module imports is rounded up to this; less than half of it is noise."""

SAME = 1e-4
"""Relative: kernels sum in another order for another batch."""


def probe(config: ModuleConfig, shape: ModelShape, *, key: str, batch_size: int, room_bytes: int) -> dict[str, object]:
    """Build the module, try it on random samples, measure a pass at growing batches up to ``batch_size``.

    What a pass holds is the largest of some sums that each grow with the batch, so a line through a single sample and
    the whole batch bounds all between. Where a batch would need more than ``room_bytes``, the line goes on from the
    largest that does not.

    Parameters
    ----------
    key
        Kept with what is measured.

    Returns
    -------
    dict
        A :class:`Measured` as plain values.

    Raises
    ------
    SeawallError
        With the line of the user's code, or what of the contract it breaks.
    """
    before = own_private_bytes()
    torch.manual_seed(0)
    module = UserModule(config, shape)
    weights = 4 * _num_parameters(module)
    if (lightning := lightning_of(module)) is not None and lightning.has_optimizer:
        lightning.optimizer()  # for what it imports
    imported = own_private_bytes() - before - weights
    try:
        check_contract(module, config, shape)
        optimizer_bytes = _optimizer_bytes(module, config, shape)
        learning, judging = (
            _held(module, config, shape, (batch_size, room_bytes), training=training) for training in (True, False)
        )
    except SeawallError:
        raise
    except Exception as error:
        raise told(error, module.file, "the backward pass failed") from error
    return Measured(
        key=key,
        num_parameters=weights // 4,
        learning=learning,
        judging=judging,
        library_bytes=max(0, round(imported / LIBRARY_STEP_BYTES)) * LIBRARY_STEP_BYTES,
        optimizer_bytes=optimizer_bytes,
    ).model_dump()


def check_contract(module: UserModule, config: ModuleConfig, shape: ModelShape) -> None:
    """Try what a model must be: finite, taught by gradients, repeatable, blind to other samples and to the future.

    Raises
    ------
    SeawallError
        Naming what it is not.
    """
    if not any(weight.requires_grad for weight in module.parameters()):
        raise ConfigError(WHERE, "the module has no weights to learn", do="Give it parameters that require gradients.")
    first, second = (_inputs(config, shape, TRIED_SAMPLES, seed) for seed in (1, 2))
    _check_gradients(module, first)
    module.eval()
    with torch.no_grad():
        once, again = module(*first), module(*first)
        if not bool(torch.isfinite(once).all()):
            raise ConfigError(WHERE, "a prediction of scaled features is not finite", do="Change forward or its start.")
        if not torch.equal(once, again):
            do = "Draw random numbers only where self.training is set."
            raise ConfigError(WHERE, "the same sample is predicted differently each time", do=do)
        mixed = [a if a is None or b is None else torch.cat([a[:1], b[1:]]) for a, b in zip(first, second, strict=True)]
        if not _close(module(*mixed)[:1], once[:1]):
            do = "Normalise over features or steps, not over the batch, while self.training is not set."
            raise ConfigError(WHERE, "a prediction depends on the other samples of its batch", do=do)
        if config.output == "sequence" and shape.lookback_periods > 1:
            _check_causal(module, first)


def _check_gradients(module: UserModule, inputs: tuple[Tensor | None, ...]) -> None:
    module.train()
    unreached = {name for name, weight in module.inner.named_parameters() if weight.requires_grad}
    loss = _loss_of(module)
    for _ in range(3):  # a weight may be left out by chance
        predicted = module(*inputs)
        if not predicted.requires_grad:
            do = "Do not detach, and compute with tensors alone."
            raise ConfigError(WHERE, "no gradient goes from the prediction to the weights", do=do)
        found = predicted.square().sum() + predicted.sum() if loss is None else loss(*inputs)
        if found is not None:
            torch.autograd.backward(found)
        unreached -= {name for name, weight in module.inner.named_parameters() if weight.grad is not None}
        module.zero_grad(set_to_none=True)
    if unreached:
        found, do = ", ".join(sorted(unreached)[:5]), "Use them in forward, or set requires_grad_(False)."
        raise ConfigError(WHERE, "weights that no gradient reaches are never learnt", found=found, do=do)


def _loss_of(module: UserModule) -> Callable[..., Tensor | None] | None:
    """Give the loss of a LightningModule's ``training_step``, of inputs and random targets; None where it has none."""
    lightning = lightning_of(module)
    if lightning is None or not lightning.has_step:
        return None

    def loss(x_BLF: Tensor, *beside: Tensor | None) -> Tensor | None:
        drawn = torch.Generator().manual_seed(3)
        kept = x_BLF.clone()  # of a batch with unknown targets only some samples are taken
        y_BK = torch.randn(len(x_BLF), module.num_outputs, generator=drawn)
        return lightning.loss(kept, y_BK, beside)

    return loss


def _optimizer_bytes(module: UserModule, config: ModuleConfig, shape: ModelShape) -> int:
    """Take a step with a LightningModule's own optimiser and count its state; 0 where it has none."""
    lightning = lightning_of(module)
    if lightning is None or not lightning.has_optimizer:
        return 0
    made, loss = lightning.optimizer(), _loss_of(module)
    inputs = _inputs(config, shape, TRIED_SAMPLES, seed=1)
    found = module(*inputs).square().mean() if loss is None else loss(*inputs)
    if found is not None:
        torch.autograd.backward(found)
    try:
        made.optimizer.step()
    except Exception as error:
        raise told(error, module.file, "a step of the optimiser failed") from error
    module.zero_grad(set_to_none=True)
    return state_bytes(made)


def _check_causal(module: UserModule, inputs: tuple[Tensor | None, ...]) -> None:
    x_BLF, *beside = inputs
    if x_BLF is None:
        return
    step = (x_BLF.shape[1] - 1) // 2
    changed = x_BLF.clone()
    changed[:, step + 1 :] += 3.0
    ours, theirs = module(x_BLF, *beside)[:, : step + 1], module(changed, *beside)[:, : step + 1]
    if not _close(ours, theirs):
        do = "Let step t see the steps up to t alone: pad convolutions on the left, mask attention."
        raise ConfigError(WHERE, "an earlier step's prediction depends on later steps", do=do)


def _close(ours: Tensor, theirs: Tensor) -> bool:
    return bool(((ours - theirs).abs() <= SAME * (1.0 + theirs.abs())).all())


def _held(
    module: UserModule, config: ModuleConfig, shape: ModelShape, means: tuple[int, int], *, training: bool
) -> Held:
    batch_size, room_bytes = means
    taken: list[tuple[int, int]] = []
    for size in _sizes(batch_size):
        if len(taken) > 1 and _line(taken).bytes(size) > room_bytes:
            break
        inputs = _inputs(config, shape, size, 1)
        taken.append((size, peak_bytes(module, inputs, training=training, loss=_loss_of(module))))
    return _line(taken)


def _line(taken: list[tuple[int, int]]) -> Held:
    """Draw the line through the first and the last measurement, with the margin."""
    (first, low), (last, high) = taken[0], taken[-1]
    slope = (high - low) / (last - first) if last > first else float(high)
    fixed = low - slope * first
    return Held(fixed_bytes=max(0, round(MARGIN * fixed)), sample_bytes=max(0, -round(-MARGIN * slope // 1)))


def _sizes(batch_size: int) -> Iterator[int]:
    size = 1
    while size < batch_size:
        yield size
        size *= 4
    yield batch_size


def _inputs(config: ModuleConfig, shape: ModelShape, num_samples: int, seed: int) -> tuple[Tensor | None, ...]:
    drawn = torch.Generator().manual_seed(seed)
    features = torch.randn(num_samples, shape.lookback_periods, shape.num_features, generator=drawn)
    static = torch.randn(num_samples, shape.num_static, generator=drawn) if config.static else None
    entity = torch.randint(0, shape.num_entities + 1, (num_samples,), generator=drawn) if config.entities else None
    return features, static, entity


def _num_parameters(module: nn.Module) -> int:
    """Count weights and buffers, in units of four bytes."""
    tensors = [*module.parameters(), *module.buffers()]
    return max(1, -(-sum(t.numel() * t.element_size() for t in tensors) // 4))
