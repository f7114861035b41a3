"""Terms of several targets: weights, goals, masks, and what is logged."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from seawall.errors import ConfigError
from seawall.losses.config import AnyLoss, LossConfig
from seawall.losses.objective import Objective, terms_of

TARGETS = ("near", "far", "ema")


def loss_of(values: object) -> AnyLoss:
    config: AnyLoss = TypeAdapter(LossConfig).validate_python(values)
    return config


def objective(*terms: Mapping[str, object]) -> Objective:
    return Objective(terms_of(loss_of({"kind": "sum", "terms": list(terms)}), TARGETS))


def a_date(seed: int = 0, size: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(size, 3, generator=generator)
    return (target * 0.3 + torch.randn(size, 3, generator=generator)).requires_grad_(), target


def gradient(made: Objective, size: float = 30.0, seed: int = 0) -> torch.Tensor:
    prediction, target = a_date(seed)
    whole = made.to_minimise(made.values(prediction, target, None), size)
    if whole is None:
        return torch.zeros_like(prediction)
    torch.autograd.backward(whole)
    assert prediction.grad is not None
    return prediction.grad


def test_a_sum_is_the_weighted_sum_of_its_terms_each_on_its_own_target() -> None:
    terms: list[Mapping[str, object]] = [
        {"target": "near", "kind": "ic", "weight": 0.5},
        {"target": "far", "kind": "huber", "weight": 2.0, "delta_sigmas": 0.5},
        {"target": "ema", "kind": "pairwise_rank"},
    ]
    whole = gradient(objective(*terms))

    alone = [gradient(objective(term)) for term in terms]
    torch.testing.assert_close(whole, sum(alone))
    for number, part in enumerate(alone):
        others = [column for column in range(3) if column != number]
        assert float(part[:, number].abs().sum()) > 0
        assert float(part[:, others].abs().sum()) == 0


def test_values_are_logged_without_their_weights_and_the_loss_with_them() -> None:
    made = objective({"target": "near", "kind": "ic", "weight": 0.25}, {"target": "far", "kind": "mse", "weight": 3.0})
    prediction, target = a_date()

    values = made.values(prediction, target, None)

    ic = float(np.corrcoef(prediction[:, 0].detach(), target[:, 0])[0, 1])
    mse = float((prediction.detach()[:, 1] - target[:, 1]).square().mean())
    totals, counts = [float(value.total.detach()) for value in values], [value.count for value in values]
    assert totals[0] == pytest.approx(1 - ic, rel=1e-6)
    assert totals[1] / counts[1] == pytest.approx(mse, rel=1e-6)
    assert made.mean(totals, counts) == pytest.approx(0.25 * (1 - ic) + 3.0 * mse, rel=1e-6)


@pytest.mark.parametrize("kind", ["ic", "mse", "listwise_rank"])
def test_a_term_stops_pushing_at_its_goal_and_is_logged_still(kind: str) -> None:
    prediction, target = a_date()
    ic = float(np.corrcoef(prediction[:, 0].detach(), target[:, 0])[0, 1])
    below, above = (objective({"target": "near", "kind": kind, "ic_goal": goal}) for goal in (ic - 0.01, ic + 0.01))

    assert float(gradient(below).abs().sum()) == 0
    torch.testing.assert_close(gradient(above), gradient(objective({"target": "near", "kind": kind})))
    assert float(below.values(prediction, target, None)[0].total.detach()) != 0


def test_a_masked_target_gives_no_gradient_and_leaves_the_others_be() -> None:
    made = objective(
        *({"target": name, "kind": kind} for name, kind in zip(TARGETS, ("ic", "mse", "ccc"), strict=True))
    )
    prediction, target = a_date()
    target[4, 0] = target[5, 1] = target[:, 2] = math.nan

    values = made.values(prediction, target, None)
    whole = made.to_minimise(values, 30.0)
    assert whole is not None
    torch.autograd.backward(whole)

    assert prediction.grad is not None
    assert bool(torch.isfinite(prediction.grad).all())
    assert [float(prediction.grad[4, 0]), float(prediction.grad[5, 1])] == [0.0, 0.0]
    assert float(prediction.grad[:, 2].abs().sum()) == 0
    assert [value.num_flat for value in values] == [0, 0, 1]


def test_a_date_that_no_term_can_use_asks_for_no_step() -> None:
    made = objective({"target": "near", "kind": "ic"})
    flat = torch.zeros(30, 3, requires_grad=True)
    values = made.values(flat, a_date()[1], None)

    assert made.to_minimise(values, 30.0) is None
    assert (values[0].count, values[0].num_flat, float(values[0].total.detach())) == (0, 1, 0.0)
    assert made.mean([0.0], [0.0]) is None


def test_a_loss_without_terms_is_that_of_every_target() -> None:
    made = Objective(terms_of(loss_of({"kind": "ic"}), TARGETS))
    each = [gradient(objective({"target": name, "kind": "ic"})) for name in TARGETS]

    torch.testing.assert_close(gradient(made), sum(each))


def test_a_term_of_an_unknown_target_or_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'near'"):
        objective({"target": "naer", "kind": "ic"})
    with pytest.raises(ValidationError):
        loss_of({"kind": "sum", "terms": [{"target": "near", "kind": "ic", "wieght": 2}]})
    with pytest.raises(ValidationError):
        loss_of({"kind": "sum", "terms": []})
