"""How long the steps of each network wait for their batch, in the trainer itself."""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.panels import synthetic_panel
from seawall.budget.heartbeat import Beat, silent
from seawall.models.registry import build_model
from seawall.models.shape import ModelShape
from seawall.stores.panel import Panel
from seawall.stores.scalers import ColumnScale, Scaler
from seawall.train.config import TrainConfig
from seawall.train.determinism import repeatable
from seawall.train.loop import Trainer
from seawall.train.validate import TargetScore, Validation
from seawall.units import MIB
from seawall.windows.gather import Beside, Gather
from seawall.windows.samples import select_samples
from seawall.windows.scaling import Scaling
from seawall.windows.stream import Windows

NUM_ENTITIES, NUM_DATES, NUM_FEATURES, NUM_STATIC = 200, 360, 32, 8
LOOKBACK, BATCH = 60, 512
POOL_BYTES = 4 * MIB
"""A pool of a third of the rows: two of them are read while an epoch goes on."""
STATIC = [f"s{number}" for number in range(NUM_STATIC)]
MODELS: dict[str, dict[str, object]] = {
    "lstm": {"kind": "lstm"},
    "branch_lstm": {"kind": "branch_lstm", "static": STATIC},
    "lstm_attention": {"kind": "lstm_attention"},
    "tcn_attention": {"kind": "tcn_attention"},
}


def wait() -> None:
    """Tell the share of an epoch that steps wait for their batch: four networks as they are by default, two orders."""
    with tempfile.TemporaryDirectory() as folder:
        panel = synthetic_panel(
            Path(folder) / "x.panel",
            num_entities=NUM_ENTITIES,
            num_rows=NUM_DATES,
            num_features=NUM_FEATURES,
            num_targets=1,
        )
        print(
            f"\nwait for the next batch in training: {LOOKBACK} x {NUM_FEATURES}, batch {BATCH}, one thread, one epoch"
        )
        for name, model in MODELS.items():
            for order, pool_bytes in (("shuffle", None), ("blocks", POOL_BYTES)):
                config = TrainConfig.model_validate(
                    {
                        "target": "y0",
                        "lookback_periods": LOOKBACK,
                        "folds": {"train": 1, "valid": 1, "test": 1},
                        "model": model,
                        "max_epochs": 1,
                        "report_minutes": 0,
                        "order": order,
                    }
                )
                waited, taken, steps = _epoch(panel, config, pool_bytes)
                print(f"  {name:<15} {order:<8} {1e3 * taken / steps:7.2f} ms a step, waited {waited / taken:7.4f}")


def _epoch(panel: Panel, config: TrainConfig, pool_bytes: int | None) -> tuple[float, float, int]:
    windows = Windows(
        _gather(panel, config),
        select_samples(panel, (0, NUM_DATES), LOOKBACK),
        batch_size=BATCH,
        order="shuffle" if pool_bytes is None else "blocks",
        pool_bytes=pool_bytes,
    )
    shape = ModelShape(
        num_features=NUM_FEATURES, lookback_periods=LOOKBACK, num_static=NUM_STATIC, num_entities=NUM_ENTITIES
    )
    device = torch.device("cpu")
    with repeatable(device, threads=1, seed=0):
        model = build_model(config.model, shape)
        scaler = Scaler((), ColumnScale("y0", 0.0, 1.0, 1, 0, 0), 5.0, None)
        trainer = Trainer(config, model, windows, scaler, _judge, device, save=lambda checkpoint: None, where="bench")
        started = time.monotonic()
        result = trainer.fit(silent)
        taken = time.monotonic() - started
    return float(result.progress.history[0]["loader_wait_seconds"] or 0.0), taken, windows.num_batches


def _gather(panel: Panel, config: TrainConfig) -> Gather:
    takes, rng = config.model.takes, np.random.default_rng(0)
    static = rng.standard_normal((NUM_ENTITIES, NUM_STATIC)).astype(np.float32)
    beside = Beside(
        static=static if "static" in takes else None,
        entity="entity" in takes,
        entity_numbers=np.arange(1, NUM_ENTITIES + 1) if "entity" in takes else None,
    )
    scaling = Scaling(np.zeros(NUM_FEATURES, np.float32), np.ones(NUM_FEATURES, np.float32), 5.0)
    return Gather(panel, LOOKBACK, targets=(0,), scaling=scaling, beside=beside)


def _judge(model: nn.Module, beat: Beat, substep: str) -> Validation:
    return Validation(0.0, (TargetScore(0.0, 0.0, 0.0, 1),))
