"""Boosted trees, streamed from the store: LightGBM asks for rows in chunks and keeps a byte a value."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from seawall.arrays import AnyArray, Float32, Int64
from seawall.budget.heartbeat import Beat
from seawall.errors import DataError, StageError
from seawall.losses.config import HuberConfig
from seawall.models.lightgbm_config import CHUNK_ROWS, LightGbmConfig
from seawall.models.shape import ModelShape
from seawall.models.trees import Trees, require_lightgbm
from seawall.stores.atomic import replacing, write_json
from seawall.train.checkpoint import Progress
from seawall.train.config import TrainConfig
from seawall.train.inference import to_scaled
from seawall.train.loop import FitResult
from seawall.train.validate import Validator
from seawall.windows.samples import Samples


@dataclass(frozen=True, slots=True)
class KeptTrees:
    """Trees of finished targets, on disk while others are boosted: a fold that is killed goes on after them."""

    path: Path
    key: str

    def read(self) -> tuple[list[str], list[int]]:
        """Give texts and numbers of trees of the first targets; nothing where they are of another key."""
        try:
            record = json.loads(self.path.read_text(encoding="utf-8"))
            return (record["texts"], record["rounds"]) if record["key"] == self.key else ([], [])
        except (OSError, ValueError, LookupError, TypeError):
            return [], []

    def write(self, texts: list[str], rounds: list[int]) -> None:
        """Keep what is finished so far."""
        write_json(self.path, {"key": self.key, "texts": texts, "rounds": rounds})


def fit_trees(
    model: Trees, config: TrainConfig, train: Samples, validate: Validator, seed: int, beat: Beat, kept: KeptTrees
) -> FitResult:
    """Boost the trees of each target until its valid score is no better for ``patience_trees``.

    LightGBM (Ke et al., NeurIPS 2017) minimises squared error, or Huber's where ``train.loss`` is that. A row without
    a target is no row of that target. With one number of threads and one seed the trees are the same to the last bit.
    Memory is a byte a sample and column, twice, and 72 bytes a sample, of train and valid together; one target at a
    time; those that are finished are kept, and one that was not is boosted again from its first tree: LightGBM gives
    no way to take up the draws of ``feature_share`` and ``sample_share`` where they were.
    """
    choice, lightgbm, started = config.model, require_lightgbm(), time.monotonic()
    if not isinstance(choice, LightGbmConfig):
        raise TypeError("a config of LightGBM is needed")
    shape = ModelShape(
        num_features=validate.gather.num_features,
        num_outputs=model.num_outputs,
        lookback_periods=validate.gather.lookback_periods,
    )
    options = _options(choice, config, shape, seed)
    texts, rounds = kept.read()
    for number, name in list(enumerate(config.target_names))[len(texts) :]:
        learnt, judged = (_Part(model, validate, samples, number) for samples in (train, validate.samples))
        if not (len(learnt.rows) and len(judged.rows)):
            raise DataError("train", f"the target {name!r} has no value in train or in valid")
        data = learnt.dataset(lightgbm, options, None)
        scored = judged.dataset(lightgbm, options, data)

        def told(env: Any, name: str = name) -> None:  # noqa: ANN401 - LightGBM has no type for it
            beat(f"trees of {name}", env.iteration + 1, choice.max_trees)

        try:
            booster = lightgbm.train(
                options,
                data,
                choice.max_trees,
                valid_sets=[scored],
                callbacks=[lightgbm.early_stopping(choice.patience_trees, verbose=False), told],
            )
        except lightgbm.basic.LightGBMError as error:
            raise StageError("train", "LightGBM failed", found=str(error), do="Change train.model.") from error
        texts.append(booster.model_to_string(num_iteration=booster.best_iteration))
        rounds.append(booster.best_iteration)
        kept.write(texts, rounds)
        del data, scored, booster, learnt, judged
    model.set_texts(texts)
    validation = validate(model, beat, "valid")
    watched = validation.targets[config.target_names.index(config.watched)]
    numbers = {
        "epoch": 0,
        "train_loss": None,
        "valid_loss": validation.loss,
        "valid_ic": None if math.isnan(watched.ic) else watched.ic,
        "valid_rank_ic": None if math.isnan(watched.rank_ic) else watched.rank_ic,
        "learning_rate": None,
        "seconds": round(time.monotonic() - started, 3),
        "loader_wait_seconds": 0.0,
        "trees": rounds,
    }
    progress = Progress(epoch=1, best_epoch=0, best_score=-validation.loss, history=[numbers])
    return FitResult(model.encoded(), progress, "trees" if max(rounds) >= choice.max_trees else "patience")


def write_texts(folder: Path, model: nn.Module) -> None:
    """Write trees as LightGBM's own text beside the rest: ``trees_NN.txt``, in order of targets; remove older ones."""
    for old in folder.glob("trees_*.txt"):
        old.unlink()
    for number, text in enumerate(model.texts if isinstance(model, Trees) else ()):
        with replacing(folder / f"trees_{number:02d}.txt") as temporary:
            temporary.write_text(text, encoding="utf-8")


def _options(choice: LightGbmConfig, config: TrainConfig, shape: ModelShape, seed: int) -> dict[str, Any]:
    loss = config.loss
    is_huber = isinstance(loss, HuberConfig)
    return {
        "objective": "huber" if is_huber else "regression",
        **({"alpha": loss.delta_sigmas} if isinstance(loss, HuberConfig) else {}),
        "metric": "huber" if is_huber else "l2",
        "learning_rate": choice.tree_rate,
        "num_leaves": choice.num_leaves,
        "min_data_in_leaf": choice.min_leaf_samples,
        "feature_fraction": choice.feature_share,
        "bagging_fraction": choice.sample_share,
        "bagging_freq": 1 if choice.sample_share < 1 else 0,
        "lambda_l2": choice.leaf_penalty,
        "max_bin": choice.max_bins,
        "bin_construct_sample_cnt": choice.bin_rows(shape),
        "histogram_pool_size": -1,
        "num_threads": config.threads,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed % 2**31,
        "verbosity": -1,
    }


class _Part:
    """The samples of a segment that have one target; 8 bytes each."""

    def __init__(self, model: Trees, validate: Validator, samples: Samples, number: int) -> None:
        self.model, self.gather, self.scaler, self.number = model, validate.gather, validate.scaler, number
        parts, targets, weights = [], [], []
        for rows in samples.blocks(CHUNK_ROWS):
            target = to_scaled(self.gather.target_values(rows), self.scaler)[:, number]
            known = np.isfinite(target)
            parts.append(rows[known])
            targets.append(target[known])
            weight = self.gather.weights(rows)
            if weight is not None:
                weights.append(weight[known])
        self.rows: Int64 = np.concatenate(parts)
        self.targets: Float32 = np.concatenate(targets)
        self.weights: Float32 | None = np.concatenate(weights) if weights else None

    def columns(self, start: int, stop: int) -> AnyArray:
        """Give float64 [n, D]: the columns of some samples."""
        features = self.gather.features(self.rows[start:stop])
        columns: AnyArray = self.model.inputs(torch.from_numpy(features)).astype(np.float64)
        return columns

    def dataset(self, lightgbm: Any, options: dict[str, Any], reference: Any) -> Any:  # noqa: ANN401 - LightGBM's classes
        """Bin the samples chunk by chunk; valid by the bins of train."""
        part = self

        class Stream(lightgbm.Sequence):  # type: ignore[misc] # LightGBM is imported late
            """What LightGBM reads a segment through."""

            batch_size = CHUNK_ROWS

            def __len__(self) -> int:
                return len(part.rows)

            def __getitem__(self, place: int | slice) -> AnyArray:
                if isinstance(place, slice):
                    return part.columns(place.start or 0, len(part.rows) if place.stop is None else place.stop)
                one: AnyArray = part.columns(int(place), int(place) + 1)[0]
                return one

        made = lightgbm.Dataset(
            Stream(), label=self.targets, weight=self.weights, params=options, reference=reference, free_raw_data=True
        )
        return made.construct()
