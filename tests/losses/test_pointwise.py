"""Losses agree with torch's own where nothing is missing, and missing targets give neither loss nor gradient."""

import math

import pytest
import torch

from seawall.losses.config import HuberConfig, MseConfig
from seawall.losses.pointwise import summed_loss

LOSSES = [MseConfig(), HuberConfig(delta_sigmas=0.7)]


def torch_loss(config: MseConfig | HuberConfig, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    if isinstance(config, MseConfig):
        return torch.nn.functional.mse_loss(prediction, target, reduction="sum")
    return torch.nn.functional.huber_loss(prediction, target, reduction="sum", delta=config.delta_sigmas)


@pytest.mark.parametrize("config", LOSSES, ids=lambda c: c.kind)
def test_loss_and_gradient_agree_with_torch(config: MseConfig | HuberConfig) -> None:
    torch.manual_seed(0)
    target = torch.randn(50, 2)
    ours = torch.randn(50, 2, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()

    summed = summed_loss(config, ours, target)
    summed.total.backward()  # type: ignore[no-untyped-call]
    expected = torch_loss(config, theirs, target)
    expected.backward()  # type: ignore[no-untyped-call]

    assert summed.count == 100
    torch.testing.assert_close(summed.total.float(), expected)
    torch.testing.assert_close(ours.grad, theirs.grad)


def gradient_of(
    config: MseConfig | HuberConfig, target: torch.Tensor, weight: torch.Tensor | None
) -> tuple[float, float, torch.Tensor]:
    torch.manual_seed(3)
    prediction = torch.randn(len(target), 2, requires_grad=True)
    summed = summed_loss(config, prediction, target, weight)
    summed.total.backward()  # type: ignore[no-untyped-call]
    assert prediction.grad is not None
    return float(summed.total.detach()), float(summed.count), prediction.grad


@pytest.mark.parametrize("config", LOSSES, ids=lambda c: c.kind)
def test_weights_of_one_change_no_bit_and_weights_of_zero_leave_samples_out(config: MseConfig | HuberConfig) -> None:
    torch.manual_seed(1)
    target = torch.randn(40, 2)
    target[3] = math.nan
    plain, ones = gradient_of(config, target, None), gradient_of(config, target, torch.ones(40))
    assert plain[:2] == ones[:2]
    assert torch.equal(plain[2], ones[2])
    half = (torch.arange(40) % 2).float()
    left_out = torch.where(half[:, None] == 0, math.nan, target)
    weighed, masked = gradient_of(config, target, half), gradient_of(config, left_out, None)
    assert weighed[1] == masked[1] == 38  # 20 samples of two targets, one of which has none
    assert weighed[0] == pytest.approx(masked[0], rel=1e-12)
    assert torch.equal(weighed[2], masked[2])
    twice = gradient_of(config, target, torch.full((40,), 2.0))
    torch.testing.assert_close(twice[2], 2 * plain[2])
    assert (twice[0], twice[1]) == (2 * plain[0], 2 * plain[1])


@pytest.mark.parametrize("config", LOSSES, ids=lambda c: c.kind)
def test_missing_targets_give_no_loss_and_no_gradient(config: MseConfig | HuberConfig) -> None:
    prediction = torch.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    target = torch.tensor([[0.0], [math.nan], [3.5]])

    summed = summed_loss(config, prediction, target)
    summed.total.backward()  # type: ignore[no-untyped-call]

    kept = torch_loss(config, prediction.detach()[[0, 2]], target[[0, 2]])
    assert summed.count == 2
    assert summed.total.item() == pytest.approx(float(kept))
    assert prediction.grad is not None
    assert prediction.grad[1].item() == 0.0
    assert (prediction.grad[[0, 2]] != 0).all()


@pytest.mark.parametrize("config", LOSSES, ids=lambda c: c.kind)
def test_a_batch_with_nothing_to_learn_gives_zero_and_says_so(config: MseConfig | HuberConfig) -> None:
    prediction = torch.randn(4, 1, requires_grad=True)

    summed = summed_loss(config, prediction, torch.full((4, 1), math.nan))
    summed.total.backward()  # type: ignore[no-untyped-call]

    assert (summed.total.item(), summed.count) == (0.0, 0)
    assert prediction.grad is not None
    assert not prediction.grad.any()


@pytest.mark.parametrize("config", LOSSES, ids=lambda c: c.kind)
def test_a_prediction_that_is_not_a_number_is_never_hidden(config: MseConfig | HuberConfig) -> None:
    summed = summed_loss(config, torch.tensor([[math.nan], [1.0]]), torch.zeros(2, 1))

    assert math.isnan(summed.total.item())
