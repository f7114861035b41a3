"""Change the future of a panel, or take it away: samples, scalers and predictions from before must stay as they are."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from seawall.arrays import Float32, Int64
from seawall.budget.heartbeat import Beat
from seawall.pipeline.leak.borders import ACROSS, read_folds, walks_forward
from seawall.pipeline.leak.copies import How, rows_in_copy, write_copy
from seawall.pipeline.leak.verdict import Check, judged, not_run
from seawall.stores.columns import member_column
from seawall.stores.panel import Panel
from seawall.stores.scalers import Scaler
from seawall.train.artefacts import FittedModel, read_model
from seawall.train.config import TrainConfig
from seawall.train.determinism import repeatable, resolve_device
from seawall.train.fold_data import fit_scaler
from seawall.train.inference import predict_scaled, scaled_gather, to_target_unit
from seawall.train.members import judged_members, member_folder
from seawall.train.segments import learnt_steps, predicted_samples, train_samples, valid_samples
from seawall.windows.folds import Fold
from seawall.windows.samples import Samples, date_major_blocks

TOLERANCE = 1e-4
"""Of the spread of predictions: another batch size rounds float32 otherwise, by some 1e-6 of it."""

SCALE_TOLERANCE = 1e-6
"""Of the fitted deviation: sums in another order differ by 1e-12."""

NAMES = ("samples", "scalers", "predictions", "truncation")


@dataclass(frozen=True, slots=True)
class Trial:
    """One trained fold, and where its future begins for the trial: in the middle of its test segment."""

    fold: Fold
    fitted: FittedModel
    rows: Int64
    """Rows predicted before the cut, as stored."""
    predictions: Float32
    """float32 [n, K]; one column a target, in the order of the model."""
    cut: int


def check_scores(panel_path: Path, folder: Path, config: TrainConfig, work: Path, beat: Beat) -> list[Check]:
    """Try the models of a run against other futures.

    Scalers of all folds are fitted again from train rows alone. Samples, scaler and predictions of one fold, the last
    that is trained and predicted (of its first seed, where there are several), are computed again on two copies of the
    panel: with every value after the middle of its test segment changed, and without those rows. Memory is what
    predicting takes, and 8 bytes a row of the fold and 4 a target of it.
    """
    panel = Panel(panel_path)
    path = folder / "folds.json"
    if path.is_file() and not walks_forward(path):
        return [not_run(name, ACROSS) for name in NAMES]
    folds = [fold for _, fold in read_folds(path)] if path.is_file() else []
    member = judged_members(config)[0]
    models = {fold.index: member_folder(folder / "models", fold.index, member) for fold in folds}
    trained = [fold for fold in folds if (models[fold.index] / "model.json").is_file()]
    if not trained:
        return [not_run(name, "no trained model: run seawall train first") for name in NAMES]
    fitted = {fold.index: read_model(models[fold.index]) for fold in trained}
    leaks = [fault for fold in trained for fault in _scaler_faults(panel, fold, fitted[fold.index].scaler, config)]
    stored = member if len(judged_members(config)) > 1 else "prediction"
    trials = (_trial(panel, fold, fitted[fold.index], folder, stored) for fold in reversed(trained))
    trial = next((found for found in trials if found is not None), None)
    if trial is None:
        scalers = judged("scalers", "as fitted on the train rows alone", leaks=leaks)
        why = "no predictions before the middle of a test segment: run seawall predict first"
        return [scalers, *(not_run(name, why) for name in NAMES if name != "scalers")]
    # Put together of several windows, a row's value depends on which windows there are: on where the segment ends.
    windows_meet = config.is_sequence and config.sequence.reduce != "last"
    samples, scaling, stays = list[str](), list[str](), dict[str, list[str]]()
    hows: tuple[tuple[str, How], ...] = (("predictions", "changed"), ("truncation", "removed"))
    for name, how in hows:
        beat(f"panel with later rows {how}")
        copy = write_copy(panel, work / f"{how}.panel", trial.cut, how)
        samples += _sample_faults(panel, copy, trial, config, how)
        scaling += _scaler_faults(copy, trial.fold, trial.fitted.scaler, config, f", later rows {how}")
        stays[name] = [] if windows_meet else list(_prediction_faults(panel, copy, trial, config, how))
        shutil.rmtree(work / f"{how}.panel")
    # A scaler that is wrong on the panel itself is wrong on its copies too; say it once.
    scaling = scaling if not leaks else []
    fold = f"fold {trial.fold.index}"
    found = [
        judged("samples", f"{fold}: train and valid samples do not depend on later rows", leaks=samples),
        judged("scalers", f"{len(trained)} folds: as fitted on the train rows alone", leaks=leaks + scaling),
    ]
    if windows_meet:
        why = f"train.sequence.reduce: {config.sequence.reduce} puts windows together: only last can be predicted again"
        return [*found, not_run("predictions", why), not_run("truncation", why)]
    targets = "" if len(config.target_names) == 1 else f" of {len(config.target_names)} targets"
    count = f"{fold}: {len(trial.rows):,}{targets}"
    return [
        *found,
        judged("predictions", f"{count} stay when later values change", leaks=stays["predictions"]),
        judged("truncation", f"{count} stay without later rows", leaks=stays["truncation"]),
    ]


def _trial(panel: Panel, fold: Fold, fitted: FittedModel, folder: Path, stored: str) -> Trial | None:
    path = folder / "predictions" / f"fold_{fold.index:02d}.parquet"
    cut = fold.test[0] + (fold.test[1] - fold.test[0] + 1) // 2
    if not path.is_file():
        return None
    targets = fitted.record.get("targets", [fitted.record["target"]])
    columns = [member_column(stored, target, targets) for target in targets]
    rows: list[Int64] = [np.empty(0, np.int64)]
    predictions: list[Float32] = [np.empty((0, len(columns)), np.float32)]
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(65_536, columns=["row", *columns], use_threads=False):
            ids = batch.column("row").to_numpy()
            early = panel.time_index[ids] < cut
            rows.append(ids[early])
            values = [batch.column(column).to_numpy(zero_copy_only=False)[early] for column in columns]
            predictions.append(np.stack(values, axis=1))
    found = np.concatenate(rows)
    return Trial(fold, fitted, found, np.concatenate(predictions), cut) if len(found) else None


def _scaler_faults(panel: Panel, fold: Fold, stored: Scaler, config: TrainConfig, where: str = "") -> Iterator[str]:
    steps = learnt_steps(panel, fold, config)
    again = fit_scaler(panel, fold, train_samples(panel, fold, config) if steps is None else steps[0], config)
    for old, new in zip((*stored.features, *stored.targets), (*again.features, *again.targets), strict=True):
        if max(abs(old.mean - new.mean), abs(old.std - new.std)) > SCALE_TOLERANCE * new.std:
            yield (
                f"fold {fold.index}, column {old.name}: the model's scale is {old.mean:.6g} ± {old.std:.6g}, "
                f"train rows alone give {new.mean:.6g} ± {new.std:.6g}{where}"
            )


def _sample_faults(panel: Panel, copy: Panel, trial: Trial, config: TrainConfig, how: How) -> Iterator[str]:
    for name, choose in (("train", train_samples), ("valid", valid_samples)):
        before, after = choose(panel, trial.fold, config), choose(copy, trial.fold, config)
        if not _same_rows(panel, copy, trial.cut, before, after):
            counts = f"{before.num_samples:,} and {after.num_samples:,}"
            yield f"fold {trial.fold.index}: samples of {name} differ with later rows {how} ({counts})"


def _same_rows(panel: Panel, copy: Panel, cut: int, before: Samples, after: Samples) -> bool:
    if before.num_samples != after.num_samples:
        return False
    pairs = zip(before.blocks(), after.blocks(), strict=True)
    return all(np.array_equal(rows_in_copy(panel, copy, cut, old), new) for old, new in pairs)


def _prediction_faults(panel: Panel, copy: Panel, trial: Trial, config: TrainConfig, how: How) -> Iterator[str]:
    """Predict again what was predicted before the cut, from the copy."""
    segment = (trial.fold.test[0], trial.cut)
    samples = predicted_samples(copy, Fold(trial.fold.index, trial.fold.train, trial.fold.valid, segment), config)
    if samples.num_samples != len(trial.rows):
        yield f"fold {trial.fold.index}: {len(trial.rows):,} rows predicted, {samples.num_samples:,} with later {how}"
        return
    spread, worst, first, done = np.maximum(trial.predictions.std(axis=0), 1e-30), 0.0, -1, 0
    device = resolve_device(config.device)
    module = trial.fitted.module.to(device)
    with repeatable(device, threads=config.threads, seed=config.seed):
        scaler, beside = trial.fitted.scaler, trial.fitted.inputs.beside(copy)
        gather = scaled_gather(copy, config.lookback_periods, scaler, config.target_names, beside=beside)
        for rows in date_major_blocks(copy, samples, segment, config.predict_batch_size):
            scaled = predict_scaled(module, gather, rows, device).cpu().numpy()
            again = to_target_unit(scaled, trial.fitted.scaler).astype(np.float64)
            stored = trial.predictions[done : done + len(rows)]
            difference = (np.abs(again - stored) / spread).max(axis=1)
            place = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
            if not difference[place] <= max(worst, TOLERANCE):
                worst, first = float(difference[place]), int(trial.rows[done + place])
            done += len(rows)
    if first >= 0:
        name = panel.entities[int(panel.entity_of(np.array([first]))[0])]
        time = panel.times_as_datetime()[int(panel.time_index[first])]
        yield (
            f"fold {trial.fold.index}: the stored prediction of {name} at {time} is {worst:.2g} deviations from what "
            f"the model says with later rows {how}"
        )
