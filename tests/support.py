"""Small worlds for tests: a panel store made from seeded random numbers, with the ragged edges real panels have."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from seawall.arrays import Bool, Float64, Int64
from seawall.stores.panel import Panel, TargetSpec
from seawall.stores.panel_writer import ColumnSpec, EntityBlock, PanelSpec, PanelWriter

MEMORY_FOLDER = Path("/dev/shm")
DAY_NS = 86_400_000_000_000
FIRST_DAY = 18_000  # 2019-04-14


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory where there is one: dozens of small panels wait for the disk otherwise, file by file."""
    usable = os.access(MEMORY_FOLDER, os.W_OK)
    with tempfile.TemporaryDirectory(dir=MEMORY_FOLDER if usable else None) as folder:
        yield Path(folder)


def make_panel(
    folder: Path,
    *,
    num_entities: int = 8,
    num_dates: int = 120,
    num_features: int = 3,
    ragged: bool = True,
    seed: int = 0,
    horizon_periods: int = 2,
    delay_periods: int = 1,
    breaks: bool = False,
) -> Panel:
    """Write ``folder/world.panel``: features f0.., target fwd, prices open/high/low/close, a daily calendar."""
    rng = np.random.default_rng(seed)
    calendar = (FIRST_DAY + np.arange(num_dates)) * DAY_NS
    spec = PanelSpec(
        calendar_kind="timestamp",
        columns=(
            *(ColumnSpec(f"f{i}", "features", "float32") for i in range(num_features)),
            ColumnSpec("fwd", "targets", "float32"),
            *(ColumnSpec(name, "prices", "float64") for name in ("open", "high", "low", "close")),
        ),
        targets=(TargetSpec("fwd", "forward_return", "close", horizon_periods, delay_periods),),
    )
    with PanelWriter(folder / "world.panel", spec, calendar) as writer:
        for number in range(num_entities):
            times = calendar[_present(rng, num_dates, ragged)]
            block = _entity(rng, f"E{number:03d}", times, (num_features, horizon_periods, delay_periods), breaks)
            writer.append(block)
        writer.finish(sources=[], ingest={}, slab_bytes=4096)
    return Panel(folder / "world.panel")


def _present(rng: np.random.Generator, num_dates: int, ragged: bool) -> Bool:
    present = np.ones(num_dates, bool)
    if ragged:
        present[: rng.integers(0, num_dates // 4)] = False
        start = int(rng.integers(num_dates // 3, num_dates // 2))
        present[start : start + int(rng.integers(0, num_dates // 6))] = False
        present &= rng.random(num_dates) > 0.03
    return present


def _entity(
    rng: np.random.Generator, name: str, times: Int64, sizes: tuple[int, int, int], breaks: bool
) -> EntityBlock:
    num_features, horizon, delay = sizes
    n = len(times)
    features = rng.standard_normal((n, num_features)).astype(np.float32)
    features[rng.random(features.shape) < 0.02] = np.nan
    close = 50.0 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    adjustment = np.ones(n)
    if breaks and n > 10:
        adjustment[n // 3 :] *= 0.1
        adjustment[2 * n // 3 :] *= 2.0
    opened = close * np.exp(rng.normal(0, 0.005, n))
    adjusted = np.column_stack([opened, np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99, close])
    ends = np.arange(n) + delay + horizon
    known = ends < n
    returns = np.full((n, 1), np.nan)
    returns[known, 0] = close[ends[known]] / close[ends[known] - horizon] - 1.0
    return EntityBlock(
        names=[name],
        lengths=np.array([n]),
        times=times,
        features=features,
        returns=returns,
        target_end=np.where(known, ends, -1)[:, None],
        prices=adjusted * adjustment[:, None],
        adjustment=adjustment,
        universe=np.ones(n, bool),
    )


def changed_after(values: Float64, position: int, rng: np.random.Generator) -> Float64:
    """Copy with every value after ``position`` replaced: the future, changed."""
    changed = values.copy()
    changed[position + 1 :] = rng.standard_normal(changed[position + 1 :].shape)
    return changed


@contextmanager
def mounted_tmpfs(folder: Path, options: str) -> Iterator[Path]:
    """Mount a small file system; the test is skipped, with the reason, where this process may not."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs with {options}: {mounted.stderr.strip()[:80]}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
