"""The predict stage: one fold's test rows through the slot file into the prediction store."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seawall.arrays import Float32, Int64
from seawall.budget.environment import giving_back
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import ResumeError, StageError
from seawall.stores.atomic import replacing, text_key
from seawall.stores.panel import Panel
from seawall.stores.predictions import Beside, Sliced, write_fold
from seawall.stores.slots import COMMIT_BYTES, SlotFile
from seawall.train.artefacts import FittedModel, read_model
from seawall.train.config import PREDICT_VERSION, TrainConfig
from seawall.train.determinism import repeatable, resolve_device
from seawall.train.ensemble import Constant, SeedMean, SeedSpread
from seawall.train.folds_file import read_fold
from seawall.train.inference import predict_scaled, scaled_gather, to_target_unit
from seawall.train.last_value import fill_last_values
from seawall.train.members import baseline_members, is_plain, judged_members, of_member, seeds_of
from seawall.train.micro import MicroBatches
from seawall.train.ranks import ALONE, Ranks
from seawall.train.run import WHOLE
from seawall.train.segments import predicted_samples
from seawall.windows.folds import Fold
from seawall.windows.gather import Gather
from seawall.windows.samples import BLOCK_ROWS, Samples, date_major_blocks
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
    row and nothing later. Memory is one batch, whatever the rows: their order lies on disk. Of several ranks each
    predicts some of the batches, and the first one writes the predictions: the same bytes. Of several seeds, and
    baselines beside them, one model is in memory at a time; mean and spread of the seeds are taken as the file is
    written, in float64 and in order of the seeds.

    Returns
    -------
    dict
        Rows, how many predictions were computed in this run, and the key of the model, or of all seeds.

    Raises
    ------
    ResumeError
        Where a model was trained with another target or lookback.
    """
    opened, chosen = Panel(panel), read_fold(folds, fold)
    samples = predicted_samples(opened, chosen, config)
    rows = _rows_on_disk(output / f"fold_{fold:02d}.rows.slots", opened, samples, chosen.test, ranks)
    means = (random_access, split, beat, ranks)
    with ExitStack() as stack:
        work = _Predicting(opened, chosen, rows, output / f"fold_{fold:02d}", means, stack)
        judged = [work.by_model(of_member(config, name), model_folder, name) for name in judged_members(config)]
        beside = {name: work.baseline(config, model_folder, name) for name in baseline_members(config)}
        num_computed = int(ranks.add_up([sum(one.num_computed for one in (*judged, *beside.values()))])[0])
        key = judged[0].key if len(judged) == 1 else text_key(*(one.key for one in judged))
        if ranks.is_first:
            beat("write predictions")
            whole = [one.values() for one in judged]
            seeds = list(seeds_of(config)) if len(judged) > 1 else []
            of_seeds = dict(zip((f"seed_{seed}" for seed in seeds), whole, strict=False))
            spread = {"prediction_std": SeedSpread(whole)} if seeds else {}
            write_fold(
                output / f"fold_{fold:02d}.parquet",
                opened,
                fold=fold,
                rows=rows,
                predictions=SeedMean(whole) if seeds else whole[0],
                target=config.target_names,
                model_key=key,
                parts=_parts(opened, chosen, rows),
                beside=Beside(spread | of_seeds | {name: one.values() for name, one in beside.items()}, tuple(seeds)),
            )
    if ranks.is_first:
        for path in output.glob(f"fold_{fold:02d}.*slots"):
            path.unlink()
    return {"num_rows": len(rows), "num_computed": num_computed, "model_key": key}


def _rows_on_disk(path: Path, panel: Panel, samples: Samples, segment: tuple[int, int], ranks: Ranks) -> Int64:
    """Write the rows that are predicted, int64 in order of (time, entity), and map them; the first rank writes."""
    if ranks.is_first:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            for block in date_major_blocks(panel, samples, segment):
                file.write(block.astype("<i8", copy=False).tobytes())
    ranks.wait()
    empty = not samples.num_samples
    return np.empty(0, np.int64) if empty else np.memmap(path, "<i8", "r", shape=(samples.num_samples,))


@dataclass(frozen=True, slots=True)
class _Filled:
    """Predictions of one model, complete on disk or computed as they are asked for."""

    values: Callable[[], Sliced]
    key: str
    num_computed: int = 0


@dataclass(frozen=True, slots=True)
class _Predicting:
    """One fold that one model after another predicts, each into a slot file of its own."""

    panel: Panel
    fold: Fold
    rows: Int64
    path: Path
    """Of the slot files, without an ending."""
    means: tuple[bool, MicroBatches, Beat, Ranks]
    stack: ExitStack

    def by_model(self, config: TrainConfig, folder: Path, member: str) -> _Filled:
        """Predict with a trained model; what an earlier attempt has written is not computed again."""
        (random_access, split, beat, ranks), panel, targets = self.means, self.panel, config.target_names
        fitted = read_model(folder / member, config.model)
        _check_same_choices(fitted, config, folder / member)
        windows = _window_ends(panel, self.fold, config)
        whole, stride_periods = (self.rows, 0) if windows is None else windows
        num_steps = 1 if windows is None else config.lookback_periods
        stated = {} if windows is None else {"num_steps": num_steps, "stride_periods": stride_periods}
        key = text_key(
            *(str(PREDICT_VERSION), panel.content_key, fitted.key, str(self.fold), str(config.predict_batch_size)),
            *([] if windows is None else [config.sequence.reduce]),
        )
        sizes: dict[str, Any] = {"num_slots": len(whole), "num_outputs": num_steps * len(targets), **stated}
        device, slots = resolve_device(config.device), self._slots(member, key, sizes)
        with repeatable(device, threads=config.threads, seed=config.seed):
            gather = scaled_gather(
                panel,
                config.lookback_periods,
                fitted.scaler,
                targets,
                random_access=random_access,
                beside=fitted.inputs.beside(panel),
            )
            work = _Work(fitted, gather, split.part_size(config.predict_batch_size), device, ranks)
            num_computed = work.fill(slots, whole, beat, every_step=windows is not None)
        slots.commit()

        def values() -> Sliced:
            if windows is None:
                return slots.values()
            is_mean = config.sequence.reduce == "mean"
            return StepValues(slots.values(), whole, self.rows, num_steps, mean=is_mean)

        return _Filled(values, fitted.key, num_computed)

    def baseline(self, config: TrainConfig, folder: Path, member: str) -> _Filled:
        """Predict with a baseline: a trained one, or one that needs no training."""
        if not is_plain(member):
            return self.by_model(of_member(config, member), folder, member)
        scaler = read_model(folder / judged_members(config)[0]).scaler
        if member.endswith("_mean"):
            return _Filled(lambda: Constant([scale.mean for scale in scaler.targets]), member)
        beat, ranks = self.means[2:]
        columns = [self.panel.column_index("targets", target) for target in config.target_names]
        key = text_key(str(PREDICT_VERSION), self.panel.content_key, member, str(self.fold), str(columns))
        slots = self._slots(member, key, {"num_slots": len(self.rows), "num_outputs": len(columns)})
        if ranks.is_first:
            fill_last_values(slots, self.panel, self.rows, columns, beat)
        return _Filled(slots.values, member)

    def _slots(self, member: str, key: str, sizes: dict[str, Any]) -> SlotFile:
        """Open the slot file of a member; of several ranks the first one makes it."""
        ranks, name = self.means[3], f"{self.path.name}.{member}.slots" if member else f"{self.path.name}.slots"
        if not ranks.is_first:
            ranks.wait()
        slots = self.stack.enter_context(
            SlotFile(self.path.with_name(name), key=key, shared=ranks.are_several, **sizes)
        )
        if ranks.is_first:
            ranks.wait()
        return slots


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
    if not fold.paths:
        return []
    counts = [0] * len(fold.test_ranges)
    for first in range(0, len(rows), BLOCK_ROWS):
        times = panel.time_index[rows[first : first + BLOCK_ROWS]]
        for number, (start, stop) in enumerate(fold.test_ranges):
            counts[number] += int(((times >= start) & (times < stop)).sum())
    return list(zip(fold.paths, counts, strict=True))


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
        starts = range(self.ranks.rank * self.batch_size, len(rows), self.ranks.world_size * self.batch_size)
        for start in giving_back(starts):
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
