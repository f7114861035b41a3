"""A script: the gradient of the first step of a training, summed over ranks, written to a file by the first rank."""

import sys
from pathlib import Path

import torch

from seawall.losses.objective import Objective, terms_of
from seawall.models.registry import build_model
from seawall.stores.panel import Panel
from seawall.train.claims import model_sizes
from seawall.train.config import TrainConfig
from seawall.train.fold_data import fit_scaler
from seawall.train.folds_file import read_fold
from seawall.train.inference import scaled_gather
from seawall.train.ranks import ALONE, Ranks, file_store, joined
from seawall.train.segments import train_samples
from seawall.train.start import starting_model
from seawall.train.step import Stepper
from seawall.windows.choose import Order
from seawall.windows.gather import Beside
from seawall.windows.share import Share
from seawall.windows.stream import Windows


def first_gradients(folder: Path, config: TrainConfig, ranks: Ranks) -> list[torch.Tensor]:
    """Give the gradients of the last batch of an epoch, which is short, and of as many dates by date."""
    panel, fold = Panel(folder / "world.panel"), read_fold(folder / "folds.json", 0)
    train = train_samples(panel, fold, config)
    scaler = fit_scaler(panel, fold, train, config)
    beside = Beside(weight=bool(panel.names("weights")))
    gather = scaled_gather(panel, config.lookback_periods, scaler, config.target_names, beside=beside)
    torch.manual_seed(7)
    model = starting_model(build_model(config.model, model_sizes(config, panel.shape)), config, 0, folder)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    by_date = config.order == "by_time"
    order: Order = "by_time" if by_date else "shuffle"
    share = Share(ranks.rank, ranks.world_size)
    windows = Windows(gather, train, batch_size=config.batch_size, order=order, share=share)
    stepper = Stepper(
        model, Objective(terms_of(config.loss, config.target_names)), scaler, torch.device("cpu"), "float32"
    )
    dates = 2 // ranks.world_size if by_date else 1
    batches = windows.epoch(0, first_step=0 if by_date else windows.num_batches - 1)
    for _ in range(dates):
        batch = next(batches)
        size = len(batch) if by_date else config.batch_size
        stepper.add_gradients(batch, parts=1, size=size, factor=0.5 if by_date else 1.0)
    parameters = list(model.parameters())
    ranks.add_gradients(parameters)
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def main() -> None:
    """Work on every config of the list, one after the other."""
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    configs = [TrainConfig.model_validate_json(text) for text in sys.argv[4:]]
    if world_size == 1:
        found = [first_gradients(folder, config, ALONE) for config in configs]
    else:
        with joined(rank, world_size, file_store(folder / "store", world_size), device="cpu") as ranks:
            found = [first_gradients(folder, config, ranks) for config in configs]
    torch.save(found, folder / f"gradients_{rank}_of_{world_size}.pt")


if __name__ == "__main__":
    main()
