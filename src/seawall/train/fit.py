"""Train one fold: choose samples, fit the scaler, run the loop, write the model."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError
from seawall.models.config import RidgeConfig
from seawall.models.module_config import ModuleConfig
from seawall.models.registry import build_model
from seawall.models.ridge import Ridge
from seawall.models.trees import Trees
from seawall.stores.atomic import file_checksum, text_key
from seawall.stores.panel import Panel
from seawall.stores.scalers import Scaler
from seawall.train.artefacts import write_model
from seawall.train.calls import Tell, Validate
from seawall.train.checkpoint import load_checkpoint, save_checkpoint
from seawall.train.config import FIT_VERSION, TrainConfig
from seawall.train.determinism import check_precision, repeatable, resolve_device
from seawall.train.fold_data import FoldData, prepare
from seawall.train.folds_file import content_key, fold_layout
from seawall.train.gpu import fit_to_device
from seawall.train.loop import FitResult, Trainer
from seawall.train.members import folder_of_fold_before
from seawall.train.micro import MicroBatches
from seawall.train.ranks import ALONE, Ranks
from seawall.train.ridge import fit_ridge
from seawall.train.start import fold_seed, starting_model
from seawall.train.study import NAME, keep_batch
from seawall.train.together import Together
from seawall.train.trees import KeptTrees, fit_trees, write_texts
from seawall.train.validate import Validator
from seawall.units import parse_bytes
from seawall.windows.choose import ORDERS, Order
from seawall.windows.folds import Fold
from seawall.windows.share import Share
from seawall.windows.stream import Windows


@dataclass(frozen=True, slots=True)
class _Fitting:
    """One fold as it is learnt: from what, on which device, by which ranks, written where."""

    data: FoldData
    output: Path
    device: torch.device
    split: MicroBatches
    tell: Tell | None
    ranks: Ranks

    @property
    def config(self) -> TrainConfig:
        return self.data.config

    @property
    def seed(self) -> int:
        return fold_seed(self.config, self.data.fold.index)

    @property
    def checkpoint(self) -> Path:
        return self.output / "checkpoint.pt"

    @property
    def kept_trees(self) -> Path:
        return self.output / "trees_kept.json"

    def key(self, *, library: str = str(torch.__version__), start: str = "") -> str:
        return fit_key(self.data.panel, self.data.fold, self.config, self.device, library=library, start=start)

    def learn(self, model: nn.Module, beat: Beat) -> tuple[FitResult, int]:
        """Teach a model the way its kind is taught; give the result, and the parts a batch was worked through in."""
        config, train, split = self.config, self.data.train, self.split
        validator = self.data.validator(split.part_size(config.predict_batch_size), self.device)
        if isinstance(model, Ridge) and isinstance(config.model, RidgeConfig):
            batch_size = split.part_size(config.batch_size)
            return fit_ridge(model, config.model, train, validator, batch_size, beat), split.parts
        if isinstance(model, Trees):
            kept = KeptTrees(self.kept_trees, self.key())
            return fit_trees(model, config, train, validator, self.seed, beat, kept), split.parts
        trainer = self.trainer(model, validator)
        return trainer.fit(beat), trainer.parts

    def trainer(self, model: nn.Module, validator: Validator) -> Trainer:
        """Make the loop of a network, at the place where a checkpoint has left it."""
        config, ranks, index, path = self.config, self.ranks, self.data.fold.index, self.checkpoint
        state_key = self.key(library="", start=_start_key(config, self.data.fold, self.output))
        trainer = Trainer(
            config,
            starting_model(model, config, index, self.output),
            self._windows(),
            self.data.scaler,
            self._by_all_ranks(validator, "valid.slots"),
            self.device,
            save=lambda checkpoint: save_checkpoint(path, state_key, checkpoint) if ranks.is_first else None,
            where=f"train fold {index}",
        )
        trainer.parts, trainer.tell, trainer.ranks = self.split.parts, self.tell or trainer.tell, ranks
        ranks.part_ways(self.seed)
        in_sample = self.data.in_sample(validator)
        trainer.judge_train = None if in_sample is None else self._by_all_ranks(in_sample, "train.slots")
        trainer.keep_batch = partial(keep_batch, self.output)
        if checkpoint := load_checkpoint(path, state_key):
            trainer.restore(checkpoint)
        return trainer

    def _windows(self) -> Windows:
        config, ranks = self.config, self.ranks
        return Windows(
            self.data.gather,
            self.data.train,
            batch_size=config.batch_size,
            order=_resolved(config.order),
            seed=self.seed,
            pool_bytes=parse_bytes(config.pool, where="train.pool"),
            share=Share(ranks.rank, ranks.world_size),
        )

    def _by_all_ranks(self, validator: Validator, slots: str) -> Validate:
        return Together(validator, self.ranks, self.output / slots) if self.ranks.are_several else validator

    def publish(self, model: nn.Module, result: FitResult, rounding: dict[str, Any]) -> None:
        """Write the finished model, then remove what a resume would have needed."""
        data, beside = self.data, {"key": self.key(), "device": self.device.type}
        record = _model_record(data.panel, data.fold, self.config, data.scaler, result)
        write_texts(self.output, model)
        seen = data.scaler, data.inputs
        write_model(self.output, result.weights, seen, _history(result), record | data.counts | beside | rounding)
        for left in (self.checkpoint, self.output / NAME, self.kept_trees):
            left.unlink(missing_ok=True)


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
    data = prepare(panel, fold, config, random_access=random_access, ranks=ranks, beat=beat)
    fitting = _Fitting(data, output, device, fit_to_device(device, config, data.sizes, split), tell, ranks)
    with repeatable(device, threads=config.threads, seed=fitting.seed):
        model = build_model(config.model, data.sizes)
        result, parts = fitting.learn(model, beat)
    parts = int(max(ranks.add_up([parts * (rank == ranks.rank) for rank in range(ranks.world_size)])))
    beat("write model")
    rounding = _rounding_record(parts, result)
    if ranks.is_first:
        fitting.publish(model, result, rounding)
    return _summary(result) | data.counts | {"num_purged": data.num_purged} | rounding


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
