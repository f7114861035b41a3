"""Lightning saves the position with its checkpoints and goes on exactly there."""

from pathlib import Path
from typing import Any

import pytest
import torch

from seawall.bridges.torch_data import TorchWindows
from seawall.stores.panel import Panel
from seawall.windows.api import WindowsChoice
from tests.support import make_panel

pl = pytest.importorskip("pytorch_lightning", reason="the extra lightning is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")  # of Lightning, about what a real training should have


def batches_of_a_fit(panel: Panel, checkpoint: Path, *, save_after: int = 0) -> list[list[int]]:
    """Train two epochs; save a checkpoint after some batches, or go on from it."""
    seen: list[list[int]] = []

    class Net(pl.LightningModule):  # type: ignore[misc, name-defined] # the extra has no types here
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(15, 1)

        def training_step(self, batch: dict[str, torch.Tensor], number: int) -> torch.Tensor:
            seen.append(batch["row"].tolist())
            loss: torch.Tensor = self.net(batch["x"].flatten(1)).square().mean()
            return loss

        def on_train_batch_end(self, *_: Any) -> None:  # noqa: ANN401 - as Lightning calls it
            if len(seen) == save_after:
                self.trainer.save_checkpoint(checkpoint)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.01)

    loader = TorchWindows(panel, WindowsChoice(lookback=5, batch=64, order="shuffle", missing="zero"))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_epochs=2, enable_model_summary=False, accelerator="cpu", **quiet)
    trainer.fit(Net(), loader, ckpt_path=None if save_after else checkpoint, weights_only=False)
    return seen


@pytest.mark.parametrize("save_after", [4, 11, 15])
def test_a_fit_continued_from_a_checkpoint_sees_the_batches_that_were_left(tmp_path: Path, save_after: int) -> None:
    panel = make_panel(tmp_path)
    whole = batches_of_a_fit(panel, tmp_path / "a.ckpt", save_after=save_after)

    left = batches_of_a_fit(panel, tmp_path / "a.ckpt")

    assert len(whole) == 22
    assert left == whole[save_after:]
