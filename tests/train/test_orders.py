"""Training on tiles read into a pool: repeatable, resumable, and as good as a global shuffle within noise."""

from pathlib import Path

import numpy as np
import pytest

from seawall.train.run import fit_fold, make_folds_record
from tests.train.worlds import World, planted_world, small_config


def valid_losses(world: World, output: Path, **choices: object) -> float:
    config = small_config(max_epochs=4, **choices)
    make_folds_record(world.panel, config, world.folds)
    return float(fit_fold(world.panel, world.folds, 0, config, output)["valid_loss"])


def test_a_fit_on_blocks_is_repeatable_and_is_not_the_fit_of_another_order(tmp_path: Path) -> None:
    world = planted_world(tmp_path, num_entities=24)

    first = valid_losses(world, tmp_path / "a", order="blocks", pool="40KiB")
    again = valid_losses(world, tmp_path / "b", order="blocks", pool="40KiB")
    shuffled = valid_losses(world, tmp_path / "c", order="shuffle")

    assert first == again
    assert first != shuffled


@pytest.mark.slow
def test_blocks_reach_the_valid_loss_of_a_global_shuffle_within_the_noise_of_seeds(tmp_path: Path) -> None:
    world = planted_world(tmp_path, num_entities=24)
    seeds = range(4)

    shuffle = [valid_losses(world, tmp_path / f"s{seed}", seed=seed) for seed in seeds]
    blocks = [valid_losses(world, tmp_path / f"b{seed}", seed=seed, order="blocks", pool="40KiB") for seed in seeds]

    spread = float(np.std(shuffle, ddof=1)) + float(np.std(blocks, ddof=1))
    assert np.mean(blocks) == pytest.approx(np.mean(shuffle), abs=2 * spread)
