"""Samples of the three segments of a fold, chosen the same way wherever they are needed."""

from seawall.errors import DataError
from seawall.stores.panel import Panel
from seawall.train.config import TrainConfig
from seawall.windows.folds import Fold
from seawall.windows.samples import Samples, select_samples


def train_samples(panel: Panel, fold: Fold, config: TrainConfig) -> Samples:
    """Choose the samples to learn from: each target is known before valid starts."""
    return _known(panel, fold.train, fold.valid[0], config)


def valid_samples(panel: Panel, fold: Fold, config: TrainConfig) -> Samples:
    """Choose the samples to stop by: each target is known before test starts."""
    return _known(panel, fold.valid, fold.test[0], config)


def predicted_samples(panel: Panel, fold: Fold, config: TrainConfig) -> Samples:
    """Choose the samples to predict, whether or not their target is known yet."""
    return select_samples(panel, fold.test, config.lookback_periods)


def _known(panel: Panel, segment: tuple[int, int], next_start: int, config: TrainConfig) -> Samples:
    target = panel.column_index("targets", config.target)
    known_before = next_start - config.folds.embargo_periods
    return select_samples(panel, segment, config.lookback_periods, targets=(target,), known_before=known_before)


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
