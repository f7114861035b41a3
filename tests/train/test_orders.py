"""Training on tiles read into a pool: repeatable, resumable, and as good as a global shuffle within noise."""

import json
from pathlib import Path

import numpy as np
import pytest

from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from seawall.train.folds_file import read_fold
from seawall.train.run import fit_fold, make_folds_record
from seawall.train.segments import train_samples
from seawall.windows.gather import Gather
from seawall.windows.stream import Windows
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


def test_by_time_takes_one_whole_date_a_step_and_goes_on_exactly(tmp_path: Path) -> None:
    world = planted_world(tmp_path, num_entities=24)

    first = valid_losses(world, tmp_path / "a", order="by_time", pool="64KiB")
    again = valid_losses(world, tmp_path / "b", order="by_time", pool="64KiB")

    assert first == again
    config, panel = small_config(order="by_time"), Panel(world.panel)
    samples = train_samples(panel, read_fold(world.folds, 0), config)
    num_dates = len(np.unique(panel.time_index[samples.rows(np.arange(samples.num_samples))]))
    windows = Windows(Gather(panel, 4), samples, batch_size=64, order="by_time", pool_bytes=64 * 1024)
    assert [len(np.unique(panel.time_index[batch.row])) for batch in windows] == [1] * num_dates


def test_auto_must_be_resolved_by_the_plan(tmp_path: Path) -> None:
    world = planted_world(tmp_path)
    with pytest.raises(ConfigError, match=r"train\.order: the plan of a run resolves it, found 'auto'"):
        valid_losses(world, tmp_path / "a", order="auto")


@pytest.mark.slow
def test_steps_of_the_model_of_the_demo_wait_little_for_the_loader(tmp_path: Path) -> None:
    world = planted_world(tmp_path, num_entities=120, num_dates=400)
    folds = {"train": 300, "valid": 30, "test": 30}
    shares = {}
    for order in ("shuffle", "blocks"):
        output = tmp_path / order
        valid_losses(
            world, output, order=order, folds=folds, lookback_periods=20, batch_size=512, model={"hidden_size": 32}
        )
        epochs = json.loads((output / "history.json").read_text())["epochs"]
        shares[order] = sum(e["loader_wait_seconds"] for e in epochs) / sum(e["seconds"] for e in epochs)
    print(f"share of the epochs that steps waited for their batch: {shares}")
    # 2 % is the aim where the loader has a core of its own; where others take it (10-12 % at a load of 8 on two cores),
    # the step waits for the scheduler.
    assert max(shares.values()) < 0.3


@pytest.mark.slow
def test_blocks_reach_the_valid_loss_of_a_global_shuffle_within_the_noise_of_seeds(tmp_path: Path) -> None:
    world = planted_world(tmp_path, num_entities=24)
    seeds = range(4)

    shuffle = [valid_losses(world, tmp_path / f"s{seed}", seed=seed) for seed in seeds]
    blocks = [valid_losses(world, tmp_path / f"b{seed}", seed=seed, order="blocks", pool="40KiB") for seed in seeds]

    spread = float(np.std(shuffle, ddof=1)) + float(np.std(blocks, ddof=1))
    assert np.mean(blocks) == pytest.approx(np.mean(shuffle), abs=2 * spread)
