"""Samples of the three segments of a fold, chosen the same way wherever they are needed."""

from seawall.errors import DataError
from seawall.stores.panel import Panel
from seawall.train.config import TrainConfig
from seawall.windows.folds import Fold
from seawall.windows.purge import Purge, test_of, train_of, valid_of
from seawall.windows.samples import Samples


def purge_of(panel: Panel, config: TrainConfig) -> Purge:
    """Say what purges rows under this config."""
    targets = tuple(panel.column_index("targets", target) for target in config.target_names)
    return Purge(config.lookback_periods, targets, config.folds.embargo_periods)


def train_samples(panel: Panel, fold: Fold, config: TrainConfig) -> Samples:
    """Choose the samples to learn from: purged of what tells of valid or test."""
    return train_of(panel, fold, purge_of(panel, config))


def valid_samples(panel: Panel, fold: Fold, config: TrainConfig) -> Samples:
    """Choose the samples to stop by: purged of what tells of test."""
    return valid_of(panel, fold, purge_of(panel, config))


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
