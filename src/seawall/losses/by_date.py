"""Losses of the names of one date. All of them leave out names without a target or with no weight."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seawall.losses.config import (
    CccConfig,
    IcConfig,
    ListwiseRankConfig,
    PairwiseRankConfig,
    PlainLoss,
    RiskConfig,
)

PAIR_ROWS = 256
"""Names compared with all others at once: memory is this many rows of the table of pairs, not the table."""


def date_loss(config: PlainLoss, prediction_B: Tensor, target_B: Tensor, weight_B: Tensor | None) -> Tensor | None:
    """Compute the loss of one date, in float64 outside autocast.

    Parameters
    ----------
    prediction_B, target_B
        float [B], the names of one date; NaN in the target masks a name: no loss, no gradient.
    weight_B
        float [B], 0 or more; a weight of 0 leaves the name out.

    Returns
    -------
    Tensor or None
        A scalar of the graph. None where the date has fewer than ``min_names`` names, where their targets are all
        alike, or where predictions are and the loss cannot tell which way to part them.
    """
    present = ~torch.isnan(target_B)
    if weight_B is not None:
        present &= weight_B > 0
    prediction, target = prediction_B[present].double(), target_B[present].double()
    if len(target) < getattr(config, "min_names", 2) or _are_alike(target):
        return None
    if config.needs_spread and _are_alike(prediction.detach()):
        return None
    weight = torch.ones_like(target) if weight_B is None else weight_B[present].double()
    return LOSSES[config.kind](config, prediction, target, weight / weight.sum())


def date_ic(prediction_B: Tensor, target_B: Tensor, weight_B: Tensor | None) -> float | None:
    """Give the weighted IC of one date; None where it is undefined. No gradient."""
    loss = date_loss(IcConfig(min_names=2), prediction_B.detach(), target_B, weight_B)
    return None if loss is None else 1.0 - float(loss)


def _are_alike(values: Tensor) -> bool:
    return bool(values.max() == values.min())


def _moments(prediction: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give the covariance, both variances, and the squared difference of means; ``weight`` adds up to 1."""
    prediction_mean, target_mean = (weight * prediction).sum(), (weight * target).sum()
    off_prediction, off_target = prediction - prediction_mean, target - target_mean
    covariance = (weight * off_prediction * off_target).sum()
    variances = (weight * off_prediction.square()).sum(), (weight * off_target.square()).sum()
    return covariance, *variances, (prediction_mean - target_mean).square()


def _ic(config: IcConfig, prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """1 - Pearson correlation."""
    del config
    covariance, prediction_variance, target_variance, _ = _moments(prediction, target, weight)
    return 1.0 - covariance / (prediction_variance * target_variance).sqrt()


def _ccc(config: CccConfig, prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """1 - concordance (Lin, Biometrics 45, 1989; as a loss Pandit and Schuller, arXiv 1902.05180)."""
    del config
    covariance, prediction_variance, target_variance, shift = _moments(prediction, target, weight)
    return 1.0 - 2.0 * covariance / (prediction_variance + target_variance + shift)


def _listwise(config: ListwiseRankConfig, prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Top-one cross entropy of ListNet (Cao, Qin, Liu, Tsai and Li, ICML 2007); ties share. Weights count as copies."""
    copies = weight.log()
    wanted = torch.softmax(target / config.temperature_sigmas + copies, dim=0)
    return -(wanted * (torch.log_softmax(prediction + copies, dim=0) - copies)).sum()


def _risk(config: RiskConfig, prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Squared return of the portfolio of gross exposure 1; of losses alone it is a semivariance around zero."""
    exposure = weight * (prediction - (weight * prediction).sum())
    gained = (exposure / exposure.abs().sum() * target).sum()
    return (gained if config.side == "both" else gained.clamp(max=0.0)).square()


def _pairwise(config: PairwiseRankConfig, prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Logistic loss of RankNet (Burges et al., ICML 2005), mean over pairs; a pair weighs the product of its names."""
    del config
    found: Tensor = _Pairs.apply(prediction, target, weight)  # type: ignore[no-untyped-call]
    return found


class _Pairs(torch.autograd.Function):
    """Value and gradient in one pass over rows of the table of pairs, which is never held whole."""

    @staticmethod
    def forward(ctx: Any, prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401 - torch's own
        gradient = torch.zeros_like(prediction)
        total, pairs = prediction.new_zeros(()), prediction.new_zeros(())
        for start in range(0, len(prediction), PAIR_ROWS):
            rows = slice(start, start + PAIR_ROWS)
            counts = (target[rows, None] > target[None, :]) * (weight[rows, None] * weight[None, :])
            behind = prediction[None, :] - prediction[rows, None]
            total = total + (torch.nn.functional.softplus(behind) * counts).sum()
            pulls = torch.sigmoid(behind) * counts
            gradient[rows] -= pulls.sum(dim=1)
            gradient += pulls.sum(dim=0)
            pairs = pairs + counts.sum()
        ctx.save_for_backward(gradient / pairs)
        return total / pairs

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 - torch's own
        (gradient,) = ctx.saved_tensors
        return gradient * outer[0], None, None


LOSSES: dict[str, Callable[[Any, Tensor, Tensor, Tensor], Tensor]] = {
    "ic": _ic,
    "ccc": _ccc,
    "pairwise_rank": _pairwise,
    "listwise_rank": _listwise,
    "risk": _risk,
}
