"""500 steps of 20 outputs: learnt and predicted in fresh processes, inside claims that are not fat."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from seawall.stores.panel import Panel, TargetSpec
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter
from seawall.stores.shape import read_shape
from seawall.train.config import TrainConfig
from seawall.train.memory import plan_fit, plan_predict
from seawall.units import GIB
from tests.support import DAY_NS, FIRST_DAY
from tests.train.test_memory import FIT, FOLDS, PREDICT, START, assert_two_sided, peak_bytes
from tests.train.worlds import World

OUTPUTS = tuple(f"y{number:02d}" for number in range(20))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make three walkers of 1,500 rows: 20 outputs, each a moving sum of one of 6 features."""
    folder, num_dates = tmp_path_factory.mktemp("motion"), 1500
    rng = np.random.default_rng(3)
    calendar = (FIRST_DAY + np.arange(num_dates)) * DAY_NS
    spec = PanelSpec(
        calendar_kind="timestamp",
        columns=(
            *(ColumnSpec(f"f{i}", "features", "float32") for i in range(6)),
            *(ColumnSpec(name, "targets", "float32") for name in OUTPUTS),
            *(ColumnSpec(name, "prices", "float64") for name in ("open", "close")),
        ),
        targets=tuple(TargetSpec(name, "forward_return", "close", 1, 0) for name in OUTPUTS),
    )
    with PanelWriter(folder / "world.panel", spec, calendar) as writer:
        for number in range(3):
            features = rng.standard_normal((num_dates, 6)).astype(np.float32)
            sums = np.cumsum(features, axis=0) - np.vstack([np.zeros((5, 6)), np.cumsum(features, axis=0)[:-5]])
            returns = np.column_stack([sums[:, i % 6] + 0.1 * rng.standard_normal(num_dates) for i in range(20)])
            ends = np.repeat(np.arange(num_dates)[:, None] + 1, 20, axis=1)
            known = ends < num_dates
            writer.append(
                EntityBlock(
                    names=[f"walker {number}"],
                    lengths=np.array([num_dates]),
                    times=calendar,
                    features=features,
                    returns=np.where(known, returns, np.nan),
                    target_end=np.where(known, ends, -1),
                    prices=np.ones((num_dates, 2)),
                    adjustment=np.ones(num_dates),
                    universe=np.ones(num_dates, bool),
                )
            )
        writer.finish(sources=[], ingest={}, slab_bytes=4096)
    return World(folder)


def motion_config(batch_size: int = 16, **choices: object) -> TrainConfig:
    values: dict[str, object] = {
        "targets": OUTPUTS,
        "lookback_periods": 500,
        "folds": {"train": 1000, "valid": 200, "test": 300},
        "model": {"kind": "lstm", "output": "sequence", "hidden_size": 16, "dropout": 0.0},
        "sequence": {"stride_periods": 25, "reduce": "mean"},
        "batch_size": batch_size,
        "predict_batch_size": batch_size,
        "max_epochs": 1,
        "device": "cpu",
    }
    return TrainConfig.model_validate(values | choices)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("batch_size", [16, pytest.param(64, marks=pytest.mark.slow)])
def test_500_steps_of_20_outputs_stay_under_their_claims(world: World, batch_size: int) -> None:
    config, shape = motion_config(batch_size), read_shape(world.panel)
    paths = [str(path) for path in (world.panel, world.folds, world.model, world.predictions)]
    peak_bytes(START + FOLDS, paths, config)
    fit, predict = (peak_bytes(START + act, paths, config) for act in (FIT, PREDICT))

    fold = json.loads(world.folds.read_text())["folds"][0]
    assert_two_sided(plan_fit(config, shape, fold["train"]["num_samples"], GIB), fit)
    assert_two_sided(plan_predict(config, shape, fold["test"]["num_samples"], GIB), predict)
    table = pq.read_table(world.predictions / "fold_00.parquet")
    assert table.num_rows == 3 * 300
    assert table.column_names[-20:] == [f"prediction_{name}" for name in OUTPUTS]


def test_what_is_planted_in_20_outputs_is_learnt_at_every_step(tmp_path: Path, world: World) -> None:
    config = motion_config(max_epochs=8, patience=8, learning_rate=0.03, sequence={"stride_periods": 10})
    copy = world.copy(tmp_path)
    copy.fit(config)
    history = json.loads((copy.model / "history.json").read_text())["epochs"]

    assert history[-1]["valid_loss"] < 0.6 * history[0]["valid_loss"]
    assert Panel(copy.panel).shape.num_targets == 20
