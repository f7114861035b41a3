"""Ridge regression without a step: sums of products over train, one solution, the penalty chosen on valid."""

import math
import time

import numpy as np
import torch

from seawall.arrays import Float64
from seawall.budget.heartbeat import Beat
from seawall.models.config import RidgeConfig
from seawall.models.ridge import Ridge
from seawall.stores.scalers import Scaler
from seawall.train.checkpoint import Progress
from seawall.train.inference import to_scaled
from seawall.train.loop import FitResult
from seawall.train.validate import Validator
from seawall.windows.gather import Gather
from seawall.windows.samples import Samples


def fit_ridge(
    model: Ridge, config: RidgeConfig, train: Samples, validate: Validator, batch_size: int, beat: Beat
) -> FitResult:
    """Solve for the weights of each target; memory grows with the square of the inputs, not with rows.

    With z the scaled features, y the scaled target, w the sample weights and n their sum, the weights minimise
    sum w (y - z b - c)^2 + penalty n |b|^2 (Hoerl and Kennard, Technometrics 12(1), 1970); c is not penalised. Sums are
    float64. The penalty is the one with the least squared error on valid, found from the same sums over valid.
    """
    started, gather, scaler = time.monotonic(), validate.gather, validate.scaler
    learnt = _moments(model, gather, train, scaler, batch_size, (beat, "sums of train"))
    judged = _moments(model, gather, validate.samples, scaler, batch_size, (beat, "sums of valid"))
    chosen: list[float] = []
    for number, (ours, theirs) in enumerate(zip(learnt, judged, strict=True)):
        tried = [(_squared_error(theirs, solved), penalty, solved) for penalty, solved in _solutions(ours, config)]
        _, penalty, (weights, constant) = min(tried, key=lambda each: each[0])
        chosen.append(penalty)
        with torch.no_grad():
            model.weight[number] = torch.from_numpy(weights)
            model.bias[number] = constant
    validation = validate(model.to(validate.device), beat, "valid")
    watched = validation.targets[0]
    numbers = {
        "epoch": 0,
        "train_loss": None,
        "valid_loss": validation.loss,
        "valid_ic": None if math.isnan(watched.ic) else watched.ic,
        "valid_rank_ic": None if math.isnan(watched.rank_ic) else watched.rank_ic,
        "learning_rate": None,
        "seconds": round(time.monotonic() - started, 3),
        "loader_wait_seconds": 0.0,
        "penalties": chosen,
    }
    weights_now = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    progress = Progress(epoch=1, best_epoch=0, best_score=-validation.loss, history=[numbers])
    return FitResult(weights_now, progress, "solved")


def _moments(
    model: Ridge, gather: Gather, samples: Samples, scaler: Scaler, batch_size: int, told: tuple[Beat, str]
) -> Float64:
    """Give float64 [K, D + 2, D + 2]: for each target, weighted sums of products of (inputs, 1, target)."""
    size, (beat, substep), done = model.weight.shape[1] + 2, told, 0
    sums: Float64 = np.zeros((len(scaler.targets), size, size))
    for rows in samples.blocks(batch_size):
        row = np.ones((len(rows), size))
        row[:, :-2] = model.inputs(torch.from_numpy(gather.features(rows))).numpy()
        targets, weights = to_scaled(gather.target_values(rows), scaler), gather.weights(rows)
        for number in range(targets.shape[1]):
            present = np.isfinite(targets[:, number])
            row[:, -1] = np.where(present, targets[:, number], 0.0)
            weighed = row * (present if weights is None else present * weights)[:, None]
            sums[number] += weighed.T @ row
        done += len(rows)
        beat(substep, done, samples.num_samples)
    return sums


Solution = tuple[Float64, float]


def _solutions(sums: Float64, config: RidgeConfig) -> list[tuple[float, Solution]]:
    """Give the weights and the constant for each penalty: one decomposition serves them all."""
    count = sums[-2, -2]
    mean, mean_target = sums[-2, :-2] / count, sums[-2, -1] / count
    spread = sums[:-2, :-2] - count * np.outer(mean, mean)
    together = sums[:-2, -1] - count * mean * mean_target
    values, vectors = np.linalg.eigh(spread)
    turned = vectors.T @ together
    found: list[tuple[float, Solution]] = []
    for penalty in config.penalties:
        weights: Float64 = vectors @ (turned / (np.maximum(values, 0.0) + penalty * count))
        found.append((penalty, (weights, float(mean_target - mean @ weights))))
    return found


def _squared_error(sums: Float64, solution: Solution) -> float:
    """Sum the squared errors of a solution from the sums of products alone."""
    weights, constant = solution
    error = np.concatenate([-weights, [-constant, 1.0]])
    return float(error @ sums @ error)
