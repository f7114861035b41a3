"""How good a model is on the valid segment: exact masked losses and errors over all samples, means of daily IC."""

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from seawall.arrays import AnyArray, Float32, Float64, Int32, Int64
from seawall.budget.environment import giving_back
from seawall.budget.heartbeat import Beat
from seawall.losses.objective import Objective
from seawall.metrics import PointwiseMoments, information_coefficient, rank_information_coefficient
from seawall.stores.scalers import Scaler
from seawall.train.inference import predict_scaled, to_scaled
from seawall.windows.gather import Gather
from seawall.windows.samples import Samples, date_major_blocks
from seawall.windows.steps import hide_steps


@dataclass(frozen=True, slots=True)
class TargetScore:
    """Result of one target, errors in scaled units.

    Both ICs are NaN where no date has two names with differing predictions and targets.
    """

    loss: float
    ic: float
    rank_ic: float
    num_dates: int
    mse: float = math.nan
    mae: float = math.nan
    r2: float = math.nan
    pearson: float = math.nan
    ccc: float = math.nan


@dataclass(frozen=True, slots=True)
class Validation:
    """Result on one segment: the loss that is minimised, the unweighted mean of each term, the score of each target."""

    loss: float
    targets: tuple[TargetScore, ...]
    terms: tuple[float, ...] = ()
    num_flat: int = 0
    """Dates without variance, over all terms that compare the names of a date."""


class Predict(Protocol):
    """Predicts rows in the scaled unit of the target."""

    def __call__(
        self, model: nn.Module, gather: Gather, rows: Int64, device: torch.device, *, every_step: bool = False
    ) -> Tensor:
        """Give float32 [B, K] on the device, or [B, L, K] of every step."""


@dataclass(frozen=True, slots=True)
class Validator:
    """Everything a validation needs but the model.

    Samples are visited in order of (time, entity), so a date is complete when the next one begins: memory is one batch
    and the largest date.
    """

    gather: Gather
    samples: Samples
    segment: tuple[int, int]
    scaler: Scaler
    objective: Objective
    batch_size: int
    device: torch.device
    steps: Samples | None = None
    """Rows that count as steps, where every step of a sample is judged: in the loss and the errors; IC is of the last
    step alone."""
    predict: Predict = predict_scaled
    """Where predictions come from."""

    def __call__(self, model: nn.Module, beat: Beat, substep: str) -> Validation:
        """Validate a model on all samples."""
        sums = _Sums(self.objective, len(self.scaler.targets))
        done = 0
        for rows in giving_back(date_major_blocks(self.gather.panel, self.samples, self.segment, self.batch_size)):
            sums.update(*self._blocks(model, rows))
            done += len(rows)
            beat(substep, done, self.samples.num_samples)
        return sums.result()

    def _blocks(self, model: nn.Module, rows: Int64) -> "tuple[_Block, _Block]":
        """Give what ICs are taken of, and what errors are: the same, unless every step is judged."""
        predicted = self.predict(model, self.gather, rows, self.device, every_step=True)
        targets = self.gather.target_values(rows)
        if self.steps is not None:
            hide_steps(targets, rows, self.steps)
        whole = _Block(
            np.asarray(self.gather.panel.time_index[rows]),
            predicted,
            predicted.float().cpu().numpy(),
            to_scaled(targets, self.scaler),
            targets,
            self.gather.weights(rows),
        )
        return (whole if self.steps is None else whole.last_step()), whole


@dataclass(frozen=True, slots=True)
class _Block:
    """Some samples in order of (time, entity): arrays [B, K], or [B, L, K] of every step."""

    dates: Int32 | Int64
    on_device: Tensor
    predictions: Float32
    scaled: Float32
    targets: Float32
    weights: Float32 | None

    def last_step(self) -> "_Block":
        """Keep the last step of each sample, copied: the others are let go."""
        last = (np.array(values[:, -1]) for values in (self.predictions, self.scaled, self.targets))
        predictions, scaled, targets = last
        return _Block(self.dates, self.on_device[:, -1].clone(), predictions, scaled, targets, None)

    def part(self, start: int, stop: int) -> "_Block":
        cut = slice(start, stop)
        return _Block(
            self.dates[cut],
            self.on_device[cut],
            self.predictions[cut],
            self.scaled[cut],
            self.targets[cut],
            None if self.weights is None else self.weights[cut],
        )


class _Sums:
    """Everything that is added up over the samples of a segment; holds one unfinished date."""

    def __init__(self, objective: Objective, num_targets: int) -> None:
        self.objective = objective
        self.totals, self.counts = [0.0] * len(objective.terms), [0.0] * len(objective.terms)
        self.num_flat = 0
        self.daily = [_DailyIC() for _ in range(num_targets)]
        self.pooled = [PointwiseMoments() for _ in range(num_targets)]
        self.open: list[_Block] = []

    def update(self, block: _Block, whole: _Block) -> None:
        for number, moments in enumerate(self.pooled):
            moments.update(whole.predictions[..., number].ravel(), whole.scaled[..., number].ravel())
        if not self.objective.by_date:
            self._add(whole)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(block.dates)) + 1])
        for start, stop in zip(starts, [*starts[1:], len(block.dates)], strict=True):
            if self.open and int(self.open[0].dates[0]) != int(block.dates[start]):
                self._close()
            self.open.append(block.part(start, stop))

    def result(self) -> Validation:
        self._close()
        means = [total / count if count else math.nan for total, count in zip(self.totals, self.counts, strict=True)]
        scores = tuple(self._score(number) for number in range(len(self.daily)))
        loss = self.objective.mean(self.totals, self.counts)
        return Validation(math.nan if loss is None else loss, scores, tuple(means), self.num_flat)

    def _score(self, number: int) -> TargetScore:
        own = [term.output == number for term in self.objective.terms]
        counts = [count if mine else 0.0 for count, mine in zip(self.counts, own, strict=True)]
        loss = self.objective.mean(self.totals, counts)
        pooled, ccc = self.pooled[number].result(), self.pooled[number].agreement().ccc
        ic, rank_ic, num_dates = self.daily[number].result()
        found = (pooled.mse, pooled.mae, pooled.r2, pooled.pearson, ccc)
        return TargetScore(math.nan if loss is None else loss, ic, rank_ic, num_dates, *found)

    def _close(self) -> None:
        """Judge the date that is complete."""
        if not self.open:
            return
        predictions, targets = (
            _joined([getattr(part, name) for part in self.open]) for name in ("predictions", "targets")
        )
        for number, series in enumerate(self.daily):
            series.add(predictions[:, number], targets[:, number])
        if self.objective.by_date:
            scaled, weights = _joined([part.scaled for part in self.open]), [part.weights for part in self.open]
            known = [weight for weight in weights if weight is not None]
            on_device = torch.cat([part.on_device for part in self.open])
            whole = _Block(
                self.open[0].dates, on_device, predictions, scaled, targets, _joined(known) if known else None
            )
            self._add(whole)
        self.open = []

    def _add(self, block: _Block) -> None:
        device = block.on_device.device
        weight = None if block.weights is None else torch.from_numpy(block.weights).to(device)
        values = self.objective.values(block.on_device, torch.from_numpy(block.scaled).to(device), weight)
        for number, value in enumerate(values):
            self.totals[number] += float(value.total)
            self.counts[number] += value.count
            self.num_flat += value.num_flat


@dataclass(slots=True)
class _DailyIC:
    """IC and Rank IC of each complete date as dates go by."""

    ics: list[float] = field(default_factory=list)
    rank_ics: list[float] = field(default_factory=list)

    def add(self, predictions: Float32, targets: Float32) -> None:
        self.ics.append(information_coefficient(predictions, targets))
        self.rank_ics.append(rank_information_coefficient(predictions, targets))

    def result(self) -> tuple[float, float, int]:
        """Give the means of IC and of Rank IC, and the dates that have an IC."""
        return _mean(self.ics), _mean(self.rank_ics), sum(not math.isnan(ic) for ic in self.ics)


def _joined(parts: list[AnyArray]) -> AnyArray:
    joined: AnyArray = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return joined


def _mean(values: list[float]) -> float:
    defined: Float64 = np.array([value for value in values if not math.isnan(value)])
    return math.fsum(defined) / len(defined) if len(defined) else math.nan
