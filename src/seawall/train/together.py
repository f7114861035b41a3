"""Validation by several ranks: each predicts some of the batches into one slot file, the first adds everything up."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seawall.arrays import Int64
from seawall.budget.environment import giving_back
from seawall.budget.heartbeat import Beat
from seawall.stores.slots import SlotFile
from seawall.train.ranks import Ranks
from seawall.train.validate import TargetScore, Validation, Validator
from seawall.windows.gather import Gather
from seawall.windows.samples import date_major_blocks

KEY = "validation"


@dataclass(frozen=True, slots=True)
class Together:
    """A validator shared out: the result is that of one process, to the last bit, for batches are the same.

    Memory is that of the validator. The file, 4 bytes a prediction, is made anew each time.
    """

    validator: Validator
    ranks: Ranks
    path: Path

    def __call__(self, model: nn.Module, beat: Beat, substep: str) -> Validation:
        """Validate a model on all samples; every rank gets the result."""
        ranks = self.ranks
        if ranks.is_first:
            self.path.unlink(missing_ok=True)
            self._open().close()
        ranks.wait()
        with self._open() as slots:
            self._predict(model, slots, beat, substep)
        ranks.wait()
        return _read(ranks.from_rank(0, lambda: asdict(self._result(model, beat, substep))))

    def _result(self, model: nn.Module, beat: Beat, substep: str) -> Validation:
        """Add up what all ranks have predicted."""
        with self._open() as slots:
            result = replace(self.validator, predict=_Known(slots, self.validator))(model, beat, substep)
        self.path.unlink()
        return result

    def _open(self) -> SlotFile:
        validator = self.validator
        num_steps = 1 if validator.steps is None else validator.gather.lookback_periods
        num_slots, num_outputs = validator.samples.num_samples, num_steps * len(validator.scaler.targets)
        return SlotFile(self.path, num_slots=num_slots, num_outputs=num_outputs, key=KEY, shared=True)

    def _predict(self, model: nn.Module, slots: SlotFile, beat: Beat, substep: str) -> None:
        """Predict this rank's batches."""
        validator, start = self.validator, 0
        blocks = date_major_blocks(validator.gather.panel, validator.samples, validator.segment, validator.batch_size)
        for number, rows in enumerate(giving_back(blocks)):
            if number % self.ranks.world_size == self.ranks.rank:
                predicted = validator.predict(model, validator.gather, rows, validator.device, every_step=True)
                values = predicted.float().cpu().numpy().reshape(len(rows), -1)
                slots.write(np.arange(start, start + len(rows)), values)
            start += len(rows)
            beat(substep, start, validator.samples.num_samples)


class _Known:
    """Predictions that are there already, in the order they are asked for."""

    def __init__(self, slots: SlotFile, validator: Validator) -> None:
        self._values, self._start = slots.values(), 0
        self._shape = (*([] if validator.steps is None else [-1]), len(validator.scaler.targets))

    def __call__(
        self, model: nn.Module, gather: Gather, rows: Int64, device: torch.device, *, every_step: bool = False
    ) -> Tensor:
        del model, gather, every_step
        start, self._start = self._start, self._start + len(rows)
        values = np.array(self._values[start : self._start]).reshape(len(rows), *self._shape)
        return torch.from_numpy(values).to(device)


def _read(record: dict[str, Any]) -> Validation:
    scores = tuple(TargetScore(**target) for target in record["targets"])
    return Validation(**record | {"targets": scores, "terms": tuple(record["terms"])})
