"""Losses of a date against plain NumPy in float64, and their gradients against finite differences."""

import math

import numpy as np
import pytest
import torch

from seawall.arrays import Float64
from seawall.losses.by_date import PAIR_ROWS, date_ic, date_loss
from seawall.losses.config import (
    CccConfig,
    IcConfig,
    ListwiseRankConfig,
    PairwiseRankConfig,
    PlainLoss,
    RiskConfig,
)

LOSSES: list[PlainLoss] = [
    IcConfig(),
    CccConfig(),
    PairwiseRankConfig(),
    ListwiseRankConfig(temperature_sigmas=0.7),
    RiskConfig(side="both"),
    RiskConfig(),
]
BY_KIND = pytest.mark.parametrize("config", LOSSES, ids=lambda c: c.kind + getattr(c, "side", ""))


def expected(config: PlainLoss, p: Float64, y: Float64, w: Float64) -> float:
    """Say each loss in NumPy alone, pair by pair where it is of pairs."""
    w = w / w.sum()
    off_p, off_y = p - (w * p).sum(), y - (w * y).sum()
    covariance, variance_p, variance_y = (
        (w * a * b).sum() for a, b in ((off_p, off_y), (off_p, off_p), (off_y, off_y))
    )
    if config.kind == "ic":
        return float(1 - covariance / math.sqrt(variance_p * variance_y))
    if config.kind == "ccc":
        return float(1 - 2 * covariance / (variance_p + variance_y + ((w * p).sum() - (w * y).sum()) ** 2))
    if isinstance(config, PairwiseRankConfig):
        pairs = [(i, j) for i in range(len(p)) for j in range(len(p)) if y[i] > y[j]]
        total = sum(w[i] * w[j] * math.log1p(math.exp(-(p[i] - p[j]))) for i, j in pairs)
        return float(total / sum(w[i] * w[j] for i, j in pairs))
    if isinstance(config, ListwiseRankConfig):
        wanted = w * np.exp(y / config.temperature_sigmas)
        wanted /= wanted.sum()
        return float(-(wanted * (p - math.log((w * np.exp(p)).sum()))).sum())
    assert isinstance(config, RiskConfig)
    held = w * off_p
    gained = float((held / np.abs(held).sum() * y).sum())
    return gained**2 if config.side == "both" else min(gained, 0.0) ** 2


def drawn(seed: int, size: int = 24) -> tuple[Float64, Float64, Float64]:
    rng = np.random.default_rng(seed)
    y = np.round(rng.standard_normal(size), 1)  # with ties
    return rng.standard_normal(size) - 0.5 * y, y, rng.uniform(0.5, 2.0, size)


def ours(config: PlainLoss, p: Float64, y: Float64, w: Float64 | None) -> torch.Tensor | None:
    weight = None if w is None else torch.from_numpy(w)
    return date_loss(config, torch.from_numpy(p), torch.from_numpy(y), weight)


@BY_KIND
@pytest.mark.parametrize("weighted", [False, True])
def test_each_loss_is_what_numpy_says(config: PlainLoss, *, weighted: bool) -> None:
    for seed in range(5):
        p, y, w = drawn(seed)
        found = ours(config, p, y, w if weighted else None)
        assert found is not None
        assert float(found) == pytest.approx(expected(config, p, y, w if weighted else np.ones_like(p)), rel=1e-12)


@BY_KIND
def test_gradients_agree_with_finite_differences(config: PlainLoss) -> None:
    p, y, w = drawn(1, 9)
    target, weight = torch.from_numpy(y), torch.from_numpy(w)

    def loss(prediction: torch.Tensor) -> torch.Tensor:
        found = date_loss(config, prediction, target, weight)
        assert found is not None
        return found

    assert torch.autograd.gradcheck(loss, (torch.from_numpy(p).requires_grad_(),))


@BY_KIND
def test_masked_and_weightless_names_give_no_loss_and_no_gradient(config: PlainLoss) -> None:
    p, y, w = drawn(2)
    y[3], w[7] = math.nan, 0.0
    kept = np.delete(np.arange(len(p)), [3, 7])
    prediction = torch.from_numpy(p).requires_grad_()

    found = date_loss(config, prediction, torch.from_numpy(y), torch.from_numpy(w))

    assert found is not None
    torch.autograd.backward(found)
    assert prediction.grad is not None
    assert prediction.grad[[3, 7]].tolist() == [0.0, 0.0]
    assert bool(torch.isfinite(prediction.grad).all())
    assert float(found.detach()) == pytest.approx(expected(config, p[kept], y[kept], w[kept]), rel=1e-12)


@BY_KIND
def test_a_date_without_variance_or_with_too_few_names_has_no_loss(config: PlainLoss) -> None:
    p, y, _ = drawn(3)

    assert ours(config, p, np.full_like(y, 0.3), None) is None
    assert ours(config, p[:4], y[:4], None) is None
    assert ours(config, p, np.full_like(y, np.nan), None) is None
    assert (ours(config, np.zeros_like(p), y, None) is None) == config.needs_spread


def test_pairs_of_more_names_than_one_block_are_all_counted() -> None:
    p, y, w = drawn(4, PAIR_ROWS + 60)
    found = ours(PairwiseRankConfig(), p, y, w)
    assert found is not None
    assert float(found) == pytest.approx(expected(PairwiseRankConfig(), p, y, w), rel=1e-11)


@BY_KIND
def test_half_precision_predictions_are_widened_before_they_are_compared(config: PlainLoss) -> None:
    p, y, _ = drawn(5)
    small = torch.from_numpy(p).to(torch.bfloat16)
    found = date_loss(config, small, torch.from_numpy(y).float(), None)
    assert found is not None
    assert found.dtype == torch.float64
    wide = small.double().numpy()
    assert float(found) == pytest.approx(
        expected(config, wide, y.astype(np.float32).astype(float), np.ones_like(y)), rel=1e-9
    )


def test_the_ic_of_a_date_is_numpys_correlation() -> None:
    p, y, _ = drawn(6)
    found = date_ic(torch.from_numpy(p), torch.from_numpy(y), None)
    assert found == pytest.approx(float(np.corrcoef(p, y)[0, 1]), abs=1e-12)
