"""Samples of the three segments of a fold, chosen the same way wherever they are needed."""

from dataclasses import replace

from seawall.errors import DataError
from seawall.stores.panel import Panel
from seawall.train.config import TrainConfig
from seawall.windows.folds import Fold
from seawall.windows.purge import Purge, test_of, train_of, valid_of
from seawall.windows.samples import Samples
from seawall.windows.steps import thin


def purge_of(panel: Panel, config: TrainConfig) -> Purge:
    """Say what purges rows under this config."""
    targets = tuple(panel.column_index("targets", target) for target in config.target_names)
    return Purge(config.lookback_periods, targets, config.folds.embargo_periods)


def train_samples(panel: Panel, fold: Fold, config: TrainConfig) -> Samples:
    """Choose the samples to learn from: purged of what tells of valid or test."""
    return thin(train_of(panel, fold, purge_of(panel, config)), config.sequence.stride_periods)


def recent_samples(panel: Panel, fold: Fold, config: TrainConfig) -> tuple[Samples, tuple[int, int]]:
    """Choose the last samples of train over as many dates as valid has, and name those dates.

    They are judged beside valid while training goes on: what is learnt by heart shows as the gap between both.
    """
    start, stop = fold.train_ranges[-1]
    dates = (max(start, stop - max(1, fold.valid[1] - fold.valid[0])), stop)
    recent = replace(fold, train=dates, train_pieces=(dates,) if fold.train_pieces else ())
    return train_samples(panel, recent, config), dates


def valid_samples(panel: Panel, fold: Fold, config: TrainConfig) -> Samples:
    """Choose the samples to stop by: purged of what tells of test."""
    return thin(valid_of(panel, fold, purge_of(panel, config)), config.sequence.stride_periods)


def learnt_steps(panel: Panel, fold: Fold, config: TrainConfig) -> tuple[Samples, Samples] | None:
    """Give the rows that train and valid may learn from and judge by as steps of a sequence; None where none are.

    A step counts where its own row lies in the segment and would be a sample of it, were its lookback one row: the
    same purge, so that no step tells of a later segment, and none of valid is one that train has learnt.
    """
    if not config.is_sequence:
        return None
    purge = replace(purge_of(panel, config), lookback_periods=1)
    return train_of(panel, fold, purge), valid_of(panel, fold, purge)


def predicted_samples(panel: Panel, fold: Fold, config: TrainConfig) -> Samples:
    """Choose the samples to predict, whether or not their target is known yet."""
    return test_of(panel, fold, purge_of(panel, config))


def refuse_empty(fold: Fold, samples: dict[str, Samples], config: TrainConfig) -> None:
    """Raise where a segment has no sample, saying where they went.

    Raises
    ------
    DataError
        Naming the segment.
    """
    for name, chosen in samples.items():
        if chosen.num_samples == 0:
            what = (
                f"the {name} segment of fold {fold.index} has no sample with {config.lookback_periods} rows of lookback"
            )
            if name != "test":
                what += " and a target known in time"
            found = f"{chosen.num_purged:,} purged, {chosen.num_missing:,} without a target"
            raise DataError("folds", what, found=found, do="Shorten lookback_periods or lengthen the segment.")
