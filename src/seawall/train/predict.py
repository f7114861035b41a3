"""The predict stage: one fold's test rows through the slot file into the prediction store."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seawall.arrays import Float32, Int64
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import ResumeError, StageError
from seawall.stores.atomic import text_key
from seawall.stores.panel import Panel
from seawall.stores.predictions import write_fold
from seawall.stores.slots import COMMIT_BYTES, SlotFile
from seawall.train.artefacts import FittedModel, read_model
from seawall.train.config import PREDICT_VERSION, TrainConfig
from seawall.train.determinism import repeatable, resolve_device
from seawall.train.folds_file import read_fold
from seawall.train.inference import predict_scaled, scaled_gather, to_target_unit
from seawall.train.micro import MicroBatches
from seawall.train.ranks import ALONE, Ranks
from seawall.train.run import WHOLE
from seawall.train.segments import predicted_samples
from seawall.windows.folds import Fold
from seawall.windows.gather import Gather
from seawall.windows.samples import date_major_rows
from seawall.windows.steps import StepValues, window_ends


def predict_fold(  # noqa: PLR0913 - the files of a fold, then one keyword each
    panel: Path,
    folds: Path,
    fold: int,
    config: TrainConfig,
    model_folder: Path,
    output: Path,
    *,
    random_access: bool = False,
    split: MicroBatches = WHOLE,
    beat: Beat = silent,
    ranks: Ranks = ALONE,
) -> dict[str, Any]:
    """Predict every sample of a fold's test segment, in the unit of the target.

    Predictions go to ``output/fold_NN.slots`` batch by batch; run again after a kill, finished batches are not computed
    a second time. Batches are fixed by the config, so resuming changes no bit. A prediction reads the lookback of its
    row and nothing later. Memory is one batch and 8 bytes a row of the segment. Of several ranks each predicts some of
    the batches, and the first one writes the predictions: the same bytes.

    Returns
    -------
    dict
        Rows predicted, how many of them in this run, and the key of the model.

    Raises
    ------
    ResumeError
        Where the model was trained with another target or lookback.
    """
    opened, chosen = Panel(panel), read_fold(folds, fold)
    fitted = read_model(model_folder)
    _check_same_choices(fitted, config, model_folder)
    rows = date_major_rows(opened, predicted_samples(opened, chosen, config), chosen.test)
    slots_path = output / f"fold_{fold:02d}.slots"
    device, targets = resolve_device(config.device), config.target_names
    windows = _window_ends(opened, chosen, config)
    whole, stride_periods = (rows, 0) if windows is None else windows
    num_steps = 1 if windows is None else config.lookback_periods
    stated = {} if windows is None else {"num_steps": num_steps, "stride_periods": stride_periods}
    key = text_key(
        *(str(PREDICT_VERSION), opened.content_key, fitted.key, str(chosen), str(config.predict_batch_size)),
        *([] if windows is None else [config.sequence.reduce]),
    )
    if not ranks.is_first:
        ranks.wait()  # the first one makes the file
    sizes: dict[str, Any] = {"num_slots": len(whole), "num_outputs": num_steps * len(targets), **stated}
    with SlotFile(slots_path, key=key, shared=ranks.are_several, **sizes) as slots:
        if ranks.is_first:
            ranks.wait()
        with repeatable(device, threads=config.threads, seed=config.seed):
            gather = scaled_gather(
                opened,
                config.lookback_periods,
                fitted.scaler,
                targets,
                random_access=random_access,
                beside=fitted.inputs.beside(opened),
            )
            work = _Work(fitted, gather, split.part_size(config.predict_batch_size), device, ranks)
            num_computed = work.fill(slots, whole, beat, every_step=windows is not None)
        slots.commit()
        num_computed = int(ranks.add_up([num_computed])[0])
        if ranks.is_first:
            beat("write predictions")
            slots.look_again()
            write_fold(
                output / f"fold_{fold:02d}.parquet",
                opened,
                fold=fold,
                rows=rows,
                predictions=slots.values()
                if windows is None
                else StepValues(slots.values(), whole, rows, num_steps, mean=config.sequence.reduce == "mean"),
                target=targets,
                model_key=fitted.key,
                parts=_parts(opened, chosen, rows),
            )
    if ranks.is_first:
        slots_path.unlink()
    return {"num_rows": len(rows), "num_computed": num_computed, "model_key": fitted.key}


def _window_ends(panel: Panel, fold: Fold, config: TrainConfig) -> tuple[Int64, int] | None:
    """Say where windows end whose steps are put together to one value a row, and how far apart; None where none are."""
    sequence, lookback = config.sequence, config.lookback_periods
    if not config.is_sequence or sequence.reduce == "last":
        return None
    overlap = sequence.reduce == "mean"
    stride = sequence.stride_periods if overlap else lookback
    return window_ends(predicted_samples(panel, fold, config), lookback, stride=stride, overlap=overlap), stride


def _parts(panel: Panel, fold: Fold, rows: Int64) -> list[tuple[int, int]]:
    """Give the path and the number of rows of each test group; nothing where the folds walk forward."""
    times = panel.time_index[rows]
    counts = [int(((times >= start) & (times < stop)).sum()) for start, stop in fold.test_ranges]
    return list(zip(fold.paths, counts, strict=True)) if fold.paths else []


def _check_same_choices(fitted: FittedModel, config: TrainConfig, folder: Path) -> None:
    targets = {"target": config.target} if len(config.target_names) == 1 else {"targets": list(config.target_names)}
    for name, asked in {**targets, "lookback_periods": config.lookback_periods}.items():
        trained = fitted.record.get(name)
        if trained != asked:
            what = f"the model was trained with another {name}"
            raise ResumeError(str(folder), what, found=repr(trained), allowed=repr(asked), do="Train the fold again.")


@dataclass(frozen=True, slots=True)
class _Work:
    """One model on its device, reading one panel."""

    fitted: FittedModel
    gather: Gather
    batch_size: int
    device: torch.device
    ranks: Ranks

    def fill(self, slots: SlotFile, rows: Int64, beat: Beat, *, every_step: bool) -> int:
        """Compute this rank's batches that are not complete yet; give how many rows that were."""
        module = self.fitted.module.to(self.device)
        num_computed = 0
        for start in range(self.ranks.rank * self.batch_size, len(rows), self.ranks.world_size * self.batch_size):
            places = np.arange(start, min(start + self.batch_size, len(rows)))
            if not slots.written(places).all():
                scaled = predict_scaled(module, self.gather, rows[places], self.device, every_step=every_step)
                for first, values in _pieces(scaled.cpu().numpy()):
                    predicted = to_target_unit(values, self.fitted.scaler)
                    if not np.isfinite(predicted).all():
                        raise StageError("predict", "a prediction is not finite", do="Train the fold again.")
                    slots.write(places[first : first + len(values)], predicted.reshape(len(values), -1))
                num_computed += len(places)
            beat("predict", int(places[-1]) + 1, len(rows))
        return num_computed


def _pieces(values: Float32) -> Iterator[tuple[int, Float32]]:
    """Cut a batch into what may wait unwritten at once; one value a sample is never cut."""
    size = max(1, len(values) * COMMIT_BYTES // max(values.nbytes, 1))
    for start in range(0, len(values), size):
        yield start, values[start : start + size]
