"""LightningModules as users write them; imported where the extra is installed."""
# ruff: noqa: ANN401 - Lightning leaves these open

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional


class Lit(pl.LightningModule):
    """A loss, an optimiser and a schedule of its own."""

    def __init__(self, num_features: int, rate: float = 0.02) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(num_features, 6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, 1))
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        predicted: Tensor = self.net(x[:, -1])[:, 0]
        return predicted

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        x, y = batch
        loss = functional.l1_loss(self(x), y)
        self.log("train_l1", loss)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.RMSprop(self.parameters(), lr=self.rate, momentum=0.5)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class OnlyStep(Lit):
    """Our optimiser moves it."""

    configure_optimizers = pl.LightningModule.configure_optimizers


class Sure(OnlyStep):
    """Draws nothing."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)
        self.net[2] = nn.Identity()


class OnlyOptimizer(Lit):
    """The loss of the config teaches it."""

    training_step = pl.LightningModule.training_step


class Plateau(Lit):
    """A schedule of epochs that watches a number, by Lightning's habitual name."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=10.0)
        return [optimizer], [{"scheduler": schedule, "monitor": "val_loss"}]


class ByName(Lit):
    """Takes its batch by names."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return {"loss": functional.l1_loss(self(batch["x"]), batch["y"])}


class Manual(Lit):
    """Takes its steps by itself."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)
        self.automatic_optimization = False


class TwoOptimizers(Lit):
    """More than one optimiser."""

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(self.parameters(), lr=0.1), torch.optim.SGD(self.parameters(), lr=0.1)]


class NeedsClosure(Lit):
    """An optimiser that calls the model by itself."""

    def configure_optimizers(self) -> Any:
        return torch.optim.LBFGS(self.parameters())


class NoLoss(Lit):
    """Returns what is no loss."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self(batch["x"])


class AsksMore(Lit):
    """Asks the trainer for what is not there."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.trainer.callback_metrics["loss"]


class Sequence(Lit):
    """Every step, with a step of its own."""

    def forward(self, x: Tensor) -> Tensor:
        predicted: Tensor = self.net(x)
        return predicted
