"""Small worlds for training tests: a panel with a planted signal, a config that learns it in seconds, edited copies."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seawall.arrays import AnyArray
from seawall.stores.npy import HEADER_BYTES
from seawall.stores.panel import Panel, TargetSpec
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter
from seawall.train.config import TrainConfig
from seawall.train.run import fit_fold, make_folds_record
from tests.support import DAY_NS, FIRST_DAY, make_panel


@dataclass(frozen=True)
class World:
    """A panel on disk and what is made of it."""

    folder: Path

    @property
    def panel(self) -> Path:
        return self.folder / "world.panel"

    @property
    def folds(self) -> Path:
        return self.folder / "folds.json"

    @property
    def model(self) -> Path:
        return self.folder / "models" / "fold_00"

    @property
    def predictions(self) -> Path:
        return self.folder / "predictions"

    def fit(self, config: TrainConfig) -> dict[str, object]:
        make_folds_record(self.panel, config, self.folds)
        return fit_fold(self.panel, self.folds, 0, config, self.model)

    def copy(self, folder: Path) -> "World":
        shutil.copytree(self.panel, folder / "world.panel")
        return World(folder)


def planted_world(folder: Path, *, num_entities: int = 12, num_dates: int = 120) -> World:
    """Targets are a linear function of the features of the row and the row before, plus noise."""
    panel = make_panel(folder, num_entities=num_entities, num_dates=num_dates)
    rng = np.random.default_rng(1)
    now = np.nan_to_num(panel.features)
    before = np.roll(now, 1, axis=0)
    signal = 0.02 * now[:, 0] - 0.015 * before[:, 1]
    noisy = signal + rng.normal(0, 0.01, len(signal)) + 0.003

    def plant(values: AnyArray) -> None:
        values[:, 0] = np.where(np.isnan(values[:, 0]), np.nan, noisy)

    edit(panel.path, "targets", "<f4", (-1, 1), plant)
    edit(panel.path, "returns", "<f8", (-1, 1), plant)
    return World(folder)


def edit(panel: Path, array: str, dtype: str, shape: tuple[int, ...], change: Callable[[AnyArray], None]) -> None:
    """Change an array of a store in place."""
    path = next(panel.glob(f"seg-*/{array}.npy"))
    mapped = np.memmap(path, dtype, "r+", HEADER_BYTES)
    change(mapped.reshape(shape))
    mapped.flush()


def change_from(panel: Path, date: int, *, seed: int = 5) -> None:
    """Replace every feature at or after a date, and every target that is known only at or after it."""
    opened = Panel(panel)
    rng = np.random.default_rng(seed)
    later = np.flatnonzero(opened.time_index >= date)
    unknown = np.flatnonzero(((opened.target_end >= date) & ~np.isnan(opened.targets)).any(axis=1))

    def features(values: AnyArray) -> None:
        values[later] = rng.standard_normal((len(later), values.shape[1])) * 3

    def targets(values: AnyArray) -> None:
        values[unknown] = rng.standard_normal((len(unknown), values.shape[1]))

    edit(panel, "features", "<f4", (-1, opened.shape.num_features), features)
    edit(panel, "targets", "<f4", (-1, opened.shape.num_targets), targets)


def small_config(**choices: object) -> TrainConfig:
    """Three epochs of some seven steps."""
    values: dict[str, object] = {
        "target": "fwd",
        "lookback_periods": 4,
        "folds": {"train": 60, "valid": 20, "test": 20},
        "model": {"hidden_size": 4, "dropout": 0.2},
        "batch_size": 64,
        "predict_batch_size": 32,
        "max_epochs": 3,
        "learning_rate": 0.01,
        "device": "cpu",
    }
    return TrainConfig.model_validate(values | choices)


HORIZONS = {"short": 1, "long": 10, "odd": 3}
"""Targets of :func:`three_target_world` and how far they look ahead (periods)."""


def three_target_world(folder: Path, *, num_entities: int = 14, num_dates: int = 140) -> World:
    """Three targets at three horizons, each planted on a feature of its own; a tenth of ``odd`` is missing."""
    rng = np.random.default_rng(4)
    calendar = (FIRST_DAY + np.arange(num_dates)) * DAY_NS
    spec = PanelSpec(
        calendar_kind="timestamp",
        columns=(
            *(ColumnSpec(f"f{i}", "features", "float32") for i in range(3)),
            *(ColumnSpec(name, "targets", "float32") for name in HORIZONS),
            *(ColumnSpec(name, "prices", "float64") for name in ("open", "close")),
        ),
        targets=tuple(TargetSpec(name, "forward_return", "close", h, 1) for name, h in HORIZONS.items()),
    )
    with PanelWriter(folder / "world.panel", spec, calendar) as writer:
        for number in range(num_entities):
            features = rng.standard_normal((num_dates, 3)).astype(np.float32)
            ends = np.arange(num_dates)[:, None] + np.array([h + 1 for h in HORIZONS.values()])
            scale = np.array([0.01, 0.05, 0.02])
            returns = scale * (0.7 * features + 0.7 * rng.standard_normal((num_dates, 3)))
            known = ends < num_dates
            known[:, 2] &= rng.random(num_dates) > 0.1
            close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, num_dates)))
            writer.append(
                EntityBlock(
                    names=[f"E{number:03d}"],
                    lengths=np.array([num_dates]),
                    times=calendar,
                    features=features,
                    returns=np.where(known, returns, np.nan),
                    target_end=np.where(known, ends, -1),
                    prices=np.column_stack([close, close]),
                    adjustment=np.ones(num_dates),
                    universe=np.ones(num_dates, bool),
                )
            )
        writer.finish(sources=[], ingest={}, slab_bytes=4096)
    return World(folder)


def three_target_config(**choices: object) -> TrainConfig:
    """Learn all three together."""
    values = small_config().model_dump(exclude={"target", "order"}) | {"targets": list(HORIZONS), "batch_size": 128}
    return TrainConfig.model_validate(values | choices)


OUTPUTS = tuple(f"y{number:02d}" for number in range(20))
"""Targets of :func:`walkers_world`."""


def walkers_world(folder: Path, *, num_dates: int) -> World:
    """Three walkers with 20 targets, each a moving sum of one of 6 features, known a step later."""
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
