"""A training step: our loop beside a bare one written by hand, and Lightning's where it is installed."""

import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seawall.budget.heartbeat import Beat, silent
from seawall.stores.scalers import ColumnScale, Scaler
from seawall.train.config import TrainConfig
from seawall.train.determinism import repeatable
from seawall.train.loop import Trainer
from seawall.train.validate import TargetScore, Validation
from seawall.windows.gather import Batch

BATCH_SIZE = 512
ROUNDS = 9
CPU = torch.device("cpu")


class Recurrent(nn.Module):
    """LSTM of 64 over 60 x 32, one output."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(32, 64, batch_first=True), nn.Linear(64, 1)

    def forward(self, x_BLF: Tensor, *beside: Tensor | None) -> Tensor:
        """Predict from the last state."""
        states, _ = self.lstm(x_BLF)
        predicted: Tensor = self.head(states[:, -1])
        return predicted


class Tiny(nn.Module):
    """Perceptron 32-64-1 over the last row."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x_BLF: Tensor, *beside: Tensor | None) -> Tensor:
        """Predict from the last row."""
        predicted: Tensor = self.layers(x_BLF[:, -1])
        return predicted


class Premade:
    """Batches made before the clock starts, in the shape of a window stream."""

    order, batch_size = "shuffle", BATCH_SIZE

    def __init__(self, lookback: int, num_batches: int) -> None:
        rng = np.random.default_rng(0)
        x = [rng.standard_normal((BATCH_SIZE, lookback, 32)).astype(np.float32) for _ in range(4)]
        y = [rng.standard_normal((BATCH_SIZE, 1)).astype(np.float32) for _ in range(4)]
        rows = np.arange(BATCH_SIZE)
        self.num_batches = num_batches
        self.batches = [Batch(x[n % 4], y[n % 4], rows) for n in range(num_batches)]

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[Batch]:
        """Give them all."""
        del epoch
        return iter(self.batches[first_step:])


def _ours(make: Callable[[], nn.Module], source: Premade) -> None:
    config = TrainConfig.model_validate(
        {"target": "y", "folds": {"train": 1, "valid": 1, "test": 1}, "max_epochs": 1, "report_minutes": 0}
    )

    def validate(model: nn.Module, beat: Beat, substep: str) -> Validation:
        return Validation(0.0, (TargetScore(0.0, 0.0, 0.0, 1),))

    scaler = Scaler((), ColumnScale("y", 0.0, 1.0, 1, 0, 0), 5.0, None)
    windows: Any = source
    Trainer(config, make(), windows, scaler, validate, CPU, save=lambda checkpoint: None, where="bench").fit(silent)


def _bare(make: Callable[[], nn.Module], source: Premade) -> None:
    model = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    for batch in source.epoch(0):
        x, y = torch.from_numpy(batch.x), torch.from_numpy(batch.y)
        optimizer.zero_grad()
        loss = nn.functional.huber_loss(model(x), y)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        float(loss.detach())


def _lightning(make: Callable[[], nn.Module], source: Premade) -> None:
    import pytorch_lightning as pl

    class Module(pl.LightningModule):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.inner = make()

        def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
            return nn.functional.huber_loss(self.inner(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=1e-4)

    pairs = [(torch.from_numpy(batch.x), torch.from_numpy(batch.y)) for batch in source.batches]
    loader = torch.utils.data.DataLoader(pairs, batch_size=None)
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
    }
    pl.Trainer(max_epochs=1, accelerator="cpu", gradient_clip_val=1.0, **quiet).fit(Module(), loader)


def train() -> None:
    """Time a step of each in turn on one thread: CPU milliseconds, medians of rounds, and ratios to the bare loop."""
    methods = {"bare": _bare, "seawall": _ours}
    if importlib.util.find_spec("pytorch_lightning") is None:
        print("pytorch_lightning is not installed here: left out")
    else:
        methods["lightning"] = _lightning
    for name, make, source in (("LSTM step", Recurrent, Premade(60, 12)), ("tiny MLP step", Tiny, Premade(1, 600))):
        spent: dict[str, list[float]] = {method: [] for method in methods}
        with repeatable(CPU, threads=1, seed=0):
            for _ in range(ROUNDS + 1):  # the first round is warm-up
                for method, act in methods.items():
                    started = time.process_time()
                    act(make, source)
                    spent[method].append(1e3 * (time.process_time() - started) / source.num_batches)
        medians = {method: statistics.median(times[1:]) for method, times in spent.items()}
        print(f"\n{name}, batch {BATCH_SIZE}, CPU ms a step, median of {ROUNDS} rounds in turn")
        for method, median in medians.items():
            more = median - medians["bare"]
            print(f"  {method:10} {median:9.3f} ms   {median / medians['bare']:.3f} x   {more:+.3f} ms")
