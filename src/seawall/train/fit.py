"""Train one fold: choose samples, fit the scaler, run the loop, write the model."""

import json
from pathlib import Path
from typing import Any

import torch

from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError
from seawall.models.registry import build_model
from seawall.stores.atomic import text_key
from seawall.stores.panel import Panel
from seawall.stores.scalers import Scaler, fit_columns
from seawall.train.artefacts import write_model
from seawall.train.checkpoint import load_checkpoint, save_checkpoint
from seawall.train.config import FIT_VERSION, TrainConfig
from seawall.train.determinism import repeatable, resolve_device
from seawall.train.folds_file import content_key
from seawall.train.gpu import fit_to_device
from seawall.train.inference import scaled_gather
from seawall.train.inputs import fit_inputs, model_shape
from seawall.train.loop import FitResult, Tell, Trainer
from seawall.train.micro import MicroBatches
from seawall.train.segments import refuse_empty, train_samples, valid_samples
from seawall.train.validate import Validator
from seawall.units import parse_bytes
from seawall.windows.api import columns_of
from seawall.windows.choose import ORDERS, Order
from seawall.windows.folds import Fold
from seawall.windows.gather import Beside
from seawall.windows.samples import Samples, select_ranges
from seawall.windows.stream import Windows


def fit(
    panel: Panel,
    fold: Fold,
    config: TrainConfig,
    output: Path,
    *,
    means: tuple[bool, MicroBatches],
    beat: Beat,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Do the work of :func:`seawall.train.run.fit_fold` on an open panel; ``means`` change no more than last bits."""
    random_access, split = means
    device = resolve_device(config.device)
    output.mkdir(parents=True, exist_ok=True)
    beat("choose samples")
    train, valid = train_samples(panel, fold, config), valid_samples(panel, fold, config)
    refuse_empty(fold, {"train": train, "valid": valid}, config)
    beat("fit scaler")
    scaler = fit_scaler(panel, fold, train, config)
    # A second mapping: advice against reading ahead must not slow the passes in row order down.
    source = Panel(panel.path) if random_access else panel
    inputs = fit_inputs(panel, train, config.model)
    beside = inputs.beside(panel, Beside(weight=config.weighted and bool(panel.names("weights"))))
    gather = scaled_gather(
        source, config.lookback_periods, scaler, config.target_names, random_access=random_access, beside=beside
    )
    sizes = model_shape(gather.num_features, len(config.target_names), inputs)
    split = fit_to_device(device, config, sizes, split)
    key, path = _fit_key(panel, fold, config, device), output / "checkpoint.pt"
    with repeatable(device, threads=config.threads, seed=config.seed):
        trainer = Trainer(
            config,
            build_model(config.model, sizes),
            Windows(
                gather,
                train,
                batch_size=config.batch_size,
                order=_resolved(config.order),
                seed=config.seed,
                pool_bytes=parse_bytes(config.pool, where="train.pool"),
            ),
            scaler,
            Validator(
                gather, valid, fold.valid, scaler, config.loss, split.part_size(config.predict_batch_size), device
            ),
            device,
            save=lambda checkpoint: save_checkpoint(path, key, checkpoint),
            where=f"train fold {fold.index}",
        )
        trainer.parts, trainer.tell = split.parts, tell or trainer.tell
        if checkpoint := load_checkpoint(path, key):
            trainer.restore(checkpoint)
        result = trainer.fit(beat)
    beat("write model")
    counts = {"num_train_samples": train.num_samples, "num_valid_samples": valid.num_samples}
    record = _model_record(panel, fold, config, scaler, result) | counts | {"key": key, "device": device.type}
    record |= _split_record(trainer.parts)
    write_model(output, result.weights, (scaler, inputs), _history(result), record)
    path.unlink(missing_ok=True)
    return (
        _summary(result) | counts | {"num_purged": train.num_purged + valid.num_purged} | _split_record(trainer.parts)
    )


def _resolved(order: str) -> Order:
    for known in ORDERS:
        if known == order:
            return known
    raise ConfigError("train.order", "the plan of a run resolves it", found=repr(order), allowed=", ".join(ORDERS))


def _split_record(parts: int) -> dict[str, Any]:
    return {"micro_batches": parts, "equality": "equal to rounding, not bitwise"} if parts > 1 else {}


def fit_scaler(panel: Panel, fold: Fold, train: Samples, config: TrainConfig) -> Scaler:
    """Fit the scaler of a fold: features on all rows of the train dates, targets on the train samples."""
    columns = columns_of(panel, "features", config.features)
    names = [panel.names("features")[column] for column in columns]
    targets = [panel.column_index("targets", target) for target in config.target_names]
    first, *more = fit_columns(panel.targets, train.blocks(), targets, config.target_names)
    return Scaler(
        features=fit_columns(panel.features, select_ranges(panel, fold.train_ranges, 1).blocks(), columns, names),
        target=first,
        feature_clip_sigmas=config.feature_clip_sigmas,
        target_clip_sigmas=config.target_clip_sigmas,
        more_targets=tuple(more),
    )


def _fit_key(panel: Panel, fold: Fold, config: TrainConfig, device: torch.device) -> str:
    """Key of all that decides the model to the last bit; a checkpoint of another key is not continued."""
    segments = json.dumps([fold.index, fold.train, fold.valid, fold.test[0], fold.train_pieces, fold.test_pieces])
    choices = json.dumps(config.semantic(), sort_keys=True)
    content = content_key(panel, fold)  # rows that are appended later are nothing to a model that walks forward
    return text_key(str(FIT_VERSION), choices, content, segments, device.type, str(torch.__version__))


def _model_record(panel: Panel, fold: Fold, config: TrainConfig, scaler: Scaler, result: FitResult) -> dict[str, Any]:
    return {
        "fold": fold.index,
        "model": config.model.model_dump(mode="json", exclude=config.model.unsaid()),
        "lookback_periods": config.lookback_periods,
        "features": [column.name for column in scaler.features],
        "target": config.target,
        **({"targets": list(config.target_names)} if len(config.target_names) > 1 else {}),
        "num_parameters": sum(value.numel() for value in result.weights.values()),
        "best_epoch": result.progress.best_epoch,
        "num_empty_batches": result.progress.num_empty_batches,
        "panel_key": panel.content_key,
        "config": config.semantic(),
        "torch": str(torch.__version__),
    }


def _history(result: FitResult) -> dict[str, Any]:
    best_epoch = result.progress.best_epoch
    epochs = [{**epoch, "best": epoch["epoch"] == best_epoch} for epoch in result.progress.history]
    reports = result.progress.reports
    return {"epochs": epochs, "reports": reports, "best_epoch": best_epoch, "stopped": result.stopped}


def _summary(result: FitResult) -> dict[str, Any]:
    best = result.progress.history[result.progress.best_epoch]
    return {
        "num_epochs": len(result.progress.history),
        "best_epoch": result.progress.best_epoch,
        "stopped": result.stopped,
        "train_loss": best["train_loss"],
        "valid_loss": best["valid_loss"],
        "valid_ic": best["valid_ic"],
        "num_empty_batches": result.progress.num_empty_batches,
    }
