"""Where the weights of a fold start from: drawn anew, or taken over from the fold before."""

import math
from pathlib import Path

import torch
from torch import nn

from seawall.errors import ConfigError, FormatError
from seawall.train.artefacts import read_model
from seawall.train.config import TrainConfig
from seawall.train.members import folder_of_fold_before

GOLDEN = 0x9E3779B97F4A7C15
"""Odd and far from any pattern: seeds of neighbouring folds share nothing."""


def fold_seed(config: TrainConfig, fold: int) -> int:
    """Give the seed of a fold: the same for all, or, by ``seed_per_fold``, one of its own."""
    return (config.seed + (fold + 1) * GOLDEN) % 2**63 if config.seed_per_fold else config.seed


def starting_model(model: nn.Module, config: TrainConfig, fold: int, folder: Path) -> nn.Module:
    """Make a fresh model ready to learn.

    With ``warm_start`` every fold but the first takes the weights of the fold before, ``folder/../fold_NN``. Under a
    loss that cannot part equal predictions a head of zeros, the best constant, would stay one: it is drawn anew.

    Raises
    ------
    ConfigError
        Where the fold before has no finished model, or one of another shape.
    """
    if config.warm_start and fold > 0:
        before = folder_of_fold_before(folder, fold)
        try:
            model.load_state_dict(read_model(before).module.state_dict())
        except (FormatError, RuntimeError) as error:
            found, do = str(error).splitlines()[0], "Train the folds in order."
            raise ConfigError(
                "train.warm_start", f"no model of fold {fold - 1} to start from", found=found, do=do
            ) from error
    elif config.loss.needs_spread:
        spread_heads(model)
    return model


def spread_heads(model: nn.Module) -> None:
    """Draw the weights of linear layers that are all zero, as torch draws those of others, from torch's generator."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and not bool(layer.weight.any()):
            bound = 1.0 / math.sqrt(layer.in_features)
            with torch.no_grad():
                layer.weight.uniform_(-bound, bound)
