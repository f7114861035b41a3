"""How good a model is on the valid segment: exact masked loss over all samples, means of daily IC and Rank IC."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from seawall.arrays import Float32, Float64, Int32, Int64
from seawall.budget.heartbeat import Beat
from seawall.losses.config import HuberConfig, MseConfig
from seawall.losses.pointwise import summed_loss
from seawall.metrics import information_coefficient, rank_information_coefficient
from seawall.stores.scalers import Scaler
from seawall.train.inference import predict_scaled, to_scaled
from seawall.windows.gather import Gather
from seawall.windows.samples import Samples, date_major_blocks


@dataclass(frozen=True, slots=True)
class TargetScore:
    """Result of one target. Both ICs are NaN where no date has two names with differing predictions and targets."""

    loss: float
    ic: float
    rank_ic: float
    num_dates: int


@dataclass(frozen=True, slots=True)
class Validation:
    """Result on one segment: the loss over all targets, and the score of each."""

    loss: float
    targets: tuple[TargetScore, ...]


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
    loss: MseConfig | HuberConfig
    batch_size: int
    device: torch.device

    def __call__(self, model: nn.Module, beat: Beat, substep: str) -> Validation:
        """Validate a model on all samples."""
        num_targets, done = len(self.scaler.targets), 0
        totals, counts = [0.0] * num_targets, [0.0] * num_targets
        daily = [_DailyIC() for _ in range(num_targets)]
        for rows in date_major_blocks(self.gather.panel, self.samples, self.segment, self.batch_size):
            predicted = predict_scaled(model, self.gather, rows, self.device)
            targets = self.gather.target_values(rows)
            scaled = torch.from_numpy(to_scaled(targets, self.scaler)).to(self.device)
            weight = self.gather.weights(rows)
            weighed = None if weight is None else torch.from_numpy(weight).to(self.device)
            dates, on_host = self.gather.panel.time_index[rows], predicted.cpu().numpy()
            for number in range(num_targets):
                one = slice(number, number + 1)
                summed = summed_loss(self.loss, predicted[:, one], scaled[:, one], weighed)
                totals[number] += float(summed.total)
                counts[number] += summed.count
                daily[number].update(dates, on_host[:, number], targets[:, number])
            done += len(rows)
            beat(substep, done, self.samples.num_samples)
        scores = [
            TargetScore(total / count if count else math.nan, *series.result())
            for total, count, series in zip(totals, counts, daily, strict=True)
        ]
        return Validation(sum(totals) / sum(counts) if sum(counts) else math.nan, tuple(scores))


@dataclass(slots=True)
class _DailyIC:
    """IC and Rank IC of each complete date as dates go by; holds one unfinished date."""

    ics: list[float] = field(default_factory=list)
    rank_ics: list[float] = field(default_factory=list)
    date: int = -1
    predictions: list[Float32] = field(default_factory=list)
    targets: list[Float32] = field(default_factory=list)

    def update(self, dates: Int32 | Int64, predictions: Float32, targets: Float32) -> None:
        starts = np.concatenate([[0], np.flatnonzero(np.diff(dates)) + 1])
        for start, stop in zip(starts, [*starts[1:], len(dates)], strict=True):
            if int(dates[start]) != self.date:
                self._close()
                self.date = int(dates[start])
            self.predictions.append(predictions[start:stop])
            self.targets.append(targets[start:stop])

    def result(self) -> tuple[float, float, int]:
        """Give the means of IC and of Rank IC, and the dates that have an IC."""
        self._close()
        return _mean(self.ics), _mean(self.rank_ics), sum(not math.isnan(ic) for ic in self.ics)

    def _close(self) -> None:
        if self.predictions:
            predictions, targets = np.concatenate(self.predictions), np.concatenate(self.targets)
            self.ics.append(information_coefficient(predictions, targets))
            self.rank_ics.append(rank_information_coefficient(predictions, targets))
        self.predictions, self.targets = [], []


def _mean(values: list[float]) -> float:
    defined: Float64 = np.array([value for value in values if not math.isnan(value)])
    return math.fsum(defined) / len(defined) if len(defined) else math.nan
