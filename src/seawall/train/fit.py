"""Train one fold: choose samples, fit the scaler, run the loop, write the model."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError
from seawall.losses.objective import Objective, terms_of
from seawall.models.config import RidgeConfig
from seawall.models.module_config import ModuleConfig
from seawall.models.registry import build_model
from seawall.models.ridge import Ridge
from seawall.models.trees import Trees
from seawall.stores.atomic import file_checksum, text_key
from seawall.stores.panel import Panel
from seawall.stores.scalers import Scaler, fit_columns
from seawall.train.artefacts import write_model
from seawall.train.calls import Tell, Validate
from seawall.train.checkpoint import load_checkpoint, save_checkpoint
from seawall.train.config import FIT_VERSION, TrainConfig
from seawall.train.determinism import check_precision, repeatable, resolve_device
from seawall.train.entity_weights import entity_weights
from seawall.train.folds_file import content_key, fold_layout
from seawall.train.gpu import fit_to_device
from seawall.train.inference import scaled_gather
from seawall.train.inputs import fit_inputs, model_shape
from seawall.train.loop import FitResult, Trainer
from seawall.train.members import folder_of_fold_before
from seawall.train.micro import MicroBatches
from seawall.train.ranks import ALONE, Ranks
from seawall.train.ridge import fit_ridge
from seawall.train.segments import learnt_steps, recent_samples, refuse_empty, train_samples, valid_samples
from seawall.train.start import fold_seed, starting_model
from seawall.train.study import NAME, keep_batch
from seawall.train.together import Together
from seawall.train.trees import KeptTrees, fit_trees, write_texts
from seawall.train.validate import Validator
from seawall.units import parse_bytes
from seawall.windows.api import columns_of
from seawall.windows.choose import ORDERS, Order
from seawall.windows.folds import Fold
from seawall.windows.gather import Beside
from seawall.windows.samples import Samples, select_ranges
from seawall.windows.share import Share
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
    ranks: Ranks = ALONE,
) -> dict[str, Any]:
    """Do the work of :func:`seawall.train.run.fit_fold` on an open panel; ``means`` change no more than last bits.

    Of several ranks the first one writes the files; all of them return the same.
    """
    (random_access, split), device = means, resolve_device(config.device)
    check_precision(config.precision, device)
    output.mkdir(parents=True, exist_ok=True)
    beat("choose samples")
    train, valid = train_samples(panel, fold, config), valid_samples(panel, fold, config)
    refuse_empty(fold, {"train": train, "valid": valid}, config)
    beat("fit scaler")
    steps = learnt_steps(panel, fold, config)
    scaled = train if steps is None else steps[0]
    scaler = Scaler.from_record(ranks.from_rank(0, lambda: fit_scaler(panel, fold, scaled, config).record()))
    # A second mapping: advice against reading ahead must not slow the passes in row order down.
    source = Panel(panel.path) if random_access else panel
    inputs = fit_inputs(panel, train, config.model)
    wanted = Beside(weight=config.weighted and bool(panel.names("weights")))
    if config.entity_weights != "none":
        watched = config.target_names.index(config.watched)
        column, std = panel.column_index("targets", config.watched), scaler.targets[watched].std
        wanted = replace(wanted, entity_weight=entity_weights(panel, scaled, column, std))
    if steps is not None:
        wanted = replace(wanted, sequence_targets=True, steps=steps[0])
    beside = inputs.beside(panel, wanted)
    gather = scaled_gather(
        source, config.lookback_periods, scaler, config.target_names, random_access=random_access, beside=beside
    )
    sizes = model_shape(gather.num_features, len(config.target_names), inputs, lookback_periods=config.lookback_periods)
    split = fit_to_device(device, config, sizes, split)
    key, path = fit_key(panel, fold, config, device), output / "checkpoint.pt"
    start = _start_key(config, fold, output)
    state_key = fit_key(panel, fold, config, device, library="", start=start)
    seed = fold_seed(config, fold.index)
    with repeatable(device, threads=config.threads, seed=seed):
        model, judged = build_model(config.model, sizes), split.part_size(config.predict_batch_size)
        objective, parts = Objective(terms_of(config.loss, config.target_names)), split.parts
        validator = Validator(
            gather, valid, fold.valid, scaler, objective, judged, device, None if steps is None else steps[1]
        )
        if isinstance(model, Ridge) and isinstance(config.model, RidgeConfig):
            result = fit_ridge(model, config.model, train, validator, split.part_size(config.batch_size), beat)
        elif isinstance(model, Trees):
            kept = KeptTrees(output / "trees_kept.json", key)
            result = fit_trees(model, config, train, validator, seed, beat, kept)
        else:
            windows = Windows(
                gather,
                train,
                batch_size=config.batch_size,
                order=_resolved(config.order),
                seed=seed,
                pool_bytes=parse_bytes(config.pool, where="train.pool"),
                share=Share(ranks.rank, ranks.world_size),
            )
            trainer = Trainer(
                config,
                starting_model(model, config, fold.index, output),
                windows,
                scaler,
                Together(validator, ranks, output / "valid.slots") if ranks.are_several else validator,
                device,
                save=lambda checkpoint: save_checkpoint(path, state_key, checkpoint) if ranks.is_first else None,
                where=f"train fold {fold.index}",
            )
            trainer.parts, trainer.tell, trainer.ranks = parts, tell or trainer.tell, ranks
            ranks.part_ways(seed)
            trainer.judge_train = _beside_train(validator, panel, fold, config, (ranks, output))
            trainer.keep_batch = partial(keep_batch, output)
            if checkpoint := load_checkpoint(path, state_key):
                trainer.restore(checkpoint)
            result = trainer.fit(beat)
            parts = trainer.parts
    parts = int(max(ranks.add_up([parts * (rank == ranks.rank) for rank in range(ranks.world_size)])))
    beat("write model")
    counts = {"num_train_samples": train.num_samples, "num_valid_samples": valid.num_samples}
    record = _model_record(panel, fold, config, scaler, result) | counts | {"key": key, "device": device.type}
    record |= _rounding_record(parts, result)
    if ranks.is_first:
        write_texts(output, model)
        write_model(output, result.weights, (scaler, inputs), _history(result), record)
        path.unlink(missing_ok=True)
        (output / NAME).unlink(missing_ok=True)
        (output / "trees_kept.json").unlink(missing_ok=True)
    purged = {"num_purged": train.num_purged + valid.num_purged}
    return _summary(result) | counts | purged | _rounding_record(parts, result)


def _beside_train(
    validator: Validator, panel: Panel, fold: Fold, config: TrainConfig, means: tuple[Ranks, Path]
) -> Validate | None:
    """Judge the last dates of train as valid is judged; None where no sample is left on them."""
    ranks, output = means
    recent, dates = recent_samples(panel, fold, config)
    if not recent.num_samples:
        return None
    steps = learnt_steps(panel, fold, config)
    learnt = replace(validator, samples=recent, segment=dates, steps=None if steps is None else steps[0])
    return Together(learnt, ranks, output / "train.slots") if ranks.are_several else learnt


def _resolved(order: str) -> Order:
    for known in ORDERS:
        if known == order:
            return known
    raise ConfigError("train.order", "the plan of a run resolves it", found=repr(order), allowed=", ".join(ORDERS))


def _rounding_record(parts: int, result: FitResult) -> dict[str, Any]:
    """Say what makes this model equal to an uninterrupted one to rounding only; nothing where that is to the bit."""
    resumed = result.progress.resumed
    split = {"micro_batches": parts} if parts > 1 else {}
    again = {"resumed": resumed} if resumed else {}
    return {**split, **again, "equality": "equal to rounding, not bitwise"} if split or again else {}


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


def _start_key(config: TrainConfig, fold: Fold, output: Path) -> str:
    """Stand for the weights of the fold before, where they are what this one starts from."""
    before = folder_of_fold_before(output, fold.index) / "model.safetensors"
    return file_checksum(before) if config.warm_start and before.is_file() else ""


def fit_key(
    panel: Panel,
    fold: Fold,
    config: TrainConfig,
    device: torch.device,
    *,
    library: str = str(torch.__version__),
    start: str = "",
) -> str:
    """Key of all that decides the model to the last bit.

    A checkpoint of another key is not continued; one made with another ``library``, or by another number of ranks where
    steps are the same, is, and says so.
    """
    segments = json.dumps([fold.index, fold.train, fold.valid, fold.test[0], fold.train_pieces, fold.test_pieces])
    choices = json.dumps((config if library else config.of_any_ranks()).semantic(), sort_keys=True)
    content = content_key(panel, fold)  # rows that are appended later are nothing to a model that walks forward
    return text_key(str(FIT_VERSION), choices, content, segments, device.type, library, *([start] if start else []))


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
        **_skipped(result),
        "panel_key": panel.content_key,
        "segments": fold_layout(panel, fold),
        "config": _recorded(config),
        "torch": str(torch.__version__),
    }


def _recorded(config: TrainConfig) -> dict[str, Any]:
    """Say, beside what decides the model, what is stored of a row and what a user's module holds.

    Who predicts from the model alone has no other place to ask.
    """
    record = config.semantic() | ({"sequence": config.sequence.model_dump(mode="json")} if config.is_sequence else {})
    if isinstance(config.model, ModuleConfig) and config.model.measured is not None:
        record["model"] = record["model"] | {"measured": config.model.measured.model_dump()}
    return record


def _history(result: FitResult) -> dict[str, Any]:
    best_epoch = result.progress.best_epoch
    epochs = [{**epoch, "best": epoch["epoch"] == best_epoch} for epoch in result.progress.history]
    reports = result.progress.reports
    return {"epochs": epochs, "reports": reports, "best_epoch": best_epoch, "stopped": result.stopped}


def _skipped(result: FitResult) -> dict[str, Any]:
    num_skipped = result.progress.num_skipped_batches
    return {"num_skipped_batches": num_skipped} if num_skipped else {}


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
        **_skipped(result),
    }
