"""A fold's model on the rows it learnt from: every date of train, so that what it shows can be set beside test."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import AnyArray, Float64, Int64
from seawall.budget.environment import giving_back
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import StageError
from seawall.metrics import PointwiseMoments, information_coefficient, rank_information_coefficient
from seawall.stores.atomic import text_key
from seawall.stores.in_sample import InSample, in_sample_file, in_sample_key, write_in_sample
from seawall.stores.npy import advise_random
from seawall.stores.panel import Panel
from seawall.stores.slots import SlotFile
from seawall.train.artefacts import FittedModel, read_model
from seawall.train.config import PREDICT_VERSION, TrainConfig
from seawall.train.determinism import repeatable, resolve_device
from seawall.train.ensemble import SeedMean
from seawall.train.folds_file import read_fold
from seawall.train.inference import predict_scaled, scaled_gather, to_target_unit
from seawall.train.members import judged_members, of_member
from seawall.train.micro import MicroBatches
from seawall.train.run import WHOLE
from seawall.train.segments import train_samples
from seawall.windows.samples import date_major_blocks


@dataclass(frozen=True, slots=True)
class FoldFiles:
    """Where a fold and its model are read from, and the folder of the predictions."""

    panel: Path
    folds: Path
    fold: int
    model: Path
    predictions: Path


def score_in_sample(
    files: FoldFiles,
    config: TrainConfig,
    min_names: int,
    *,
    random_access: bool = False,
    split: MicroBatches = WHOLE,
    beat: Beat = silent,
) -> int:
    """Predict every sample the fold was trained on, and write IC, Rank IC and errors of that segment.

    All of train, date by date: the very rows that were learnt from, after purging, against the panel's float64 targets.
    Predictions pass through a slot file that is removed at the end, so that a killed pass goes on where it was; a file
    that is complete is kept. Of several seeds, one after another, the mean is judged. Of a sequence model the last step
    of each window is. Memory is one batch, one date, a byte a sample, and 32 bytes a date and target.

    Returns
    -------
    int
        Samples that were predicted, those of an earlier attempt left out.
    """
    panel, fold = Panel(files.panel), read_fold(files.folds, files.fold)
    members = judged_members(config)
    models = [read_model(files.model / name) for name in members]
    samples, targets = train_samples(panel, fold, config), config.target_names
    batch_size = split.part_size(config.predict_batch_size)
    chosen = (str(fold), str(config.predict_batch_size), str(samples.num_samples))
    keys = [text_key("in sample", str(PREDICT_VERSION), panel.content_key, one.key, *chosen) for one in models]
    path = in_sample_file(files.predictions, files.fold)
    whole_key = text_key(*keys, str(min_names))
    if in_sample_key(path) == whole_key:
        return 0
    judged, num_computed = _Judged(panel, targets, min_names, fold.train[1] - fold.train[0]), 0
    blocks = partial(date_major_blocks, panel, samples, fold.train, batch_size)
    stated: dict[str, Any] = {"num_slots": samples.num_samples, "num_outputs": len(targets)}
    with ExitStack() as stack:
        opened: list[SlotFile] = []
        for name, fitted, key in zip(members, models, keys, strict=True):
            slots_path = path.with_suffix(f".{name}.slots" if name else ".slots")
            slots = stack.enter_context(SlotFile(slots_path, key=key, **stated))
            num_computed += _fill(slots, panel, fitted, of_member(config, name), blocks(), random_access, beat)
            opened.append(slots)
        mean, done = SeedMean([slots.values() for slots in opened]), 0
        for rows in blocks():
            judged.update(rows, mean[done : done + len(rows)])
            done += len(rows)
    write_in_sample(path, whole_key, judged.result())
    for slots in opened:
        slots.path.unlink()
    return num_computed


def _fill(
    slots: SlotFile,
    panel: Panel,
    fitted: FittedModel,
    config: TrainConfig,
    blocks: Iterator[Int64],
    random_access: bool,
    beat: Beat,
) -> int:
    """Predict what no earlier attempt has; give how many samples that were."""
    device, targets, num_computed, done = resolve_device(config.device), config.target_names, 0, 0
    with repeatable(device, threads=config.threads, seed=config.seed):
        gather = scaled_gather(
            panel,
            config.lookback_periods,
            fitted.scaler,
            targets,
            random_access=random_access,
            beside=fitted.inputs.beside(panel),
        )
        module = fitted.module.to(device)
        for rows in giving_back(blocks):
            places = np.arange(done, done + len(rows))
            if not slots.written(places).all():
                slots.write(places, _in_unit(predict_scaled(module, gather, rows, device).cpu().numpy(), fitted))
                num_computed += len(rows)
            done += len(rows)
            beat("in sample", done, slots.num_slots)
    slots.commit()
    return num_computed


def _in_unit(scaled: AnyArray, fitted: FittedModel) -> AnyArray:
    predicted = to_target_unit(scaled, fitted.scaler)
    if not np.isfinite(predicted).all():
        raise StageError("predict", "a prediction is not finite", do="Train the fold again.")
    return predicted


@dataclass(slots=True)
class _Judged:
    """Numbers of the dates that are complete, and the rows of the one that is not."""

    panel: Panel
    targets: tuple[str, ...]
    min_names: int
    most_dates: int
    num_dates: int = 0
    open: list[tuple[Int64, AnyArray]] = field(default_factory=list)
    series: Float64 = field(init=False)
    moments: list[PointwiseMoments] = field(init=False)
    columns: list[int] = field(init=False)

    def __post_init__(self) -> None:
        advise_random(self.panel.returns)
        self.series = np.empty((self.most_dates, len(self.targets), 2))
        self.moments = [PointwiseMoments() for _ in self.targets]
        self.columns = [self.panel.column_index("targets", target) for target in self.targets]

    def update(self, rows: Int64, predicted: AnyArray) -> None:
        """Take samples in order of (time, entity)."""
        dates = np.asarray(self.panel.time_index[rows])
        starts = [0, *(np.flatnonzero(np.diff(dates)) + 1)]
        for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
            if self.open and int(self.panel.time_index[self.open[0][0][0]]) != int(dates[start]):
                self._close()
            self.open.append((rows[start:stop], predicted[start:stop]))

    def _close(self) -> None:
        rows = np.concatenate([part[0] for part in self.open])
        predicted = np.concatenate([part[1] for part in self.open])
        self.open = []
        found = self.panel.returns[rows]
        for number, column in enumerate(self.columns):
            pair = predicted[:, number], found[:, column]
            self.moments[number].update(*pair)
            ic = information_coefficient(*pair, min_names=self.min_names)
            self.series[self.num_dates, number] = ic, rank_information_coefficient(*pair, min_names=self.min_names)
        self.num_dates += 1

    def result(self) -> list[InSample]:
        """Close the last date and give the numbers of each target."""
        if self.open:
            self._close()
        series = self.series[: self.num_dates]
        return [
            InSample(target, series[:, number, 0].copy(), series[:, number, 1].copy(), self.moments[number].state())
            for number, target in enumerate(self.targets)
        ]
