"""What a fold is learnt from: its samples, what train says of their scale, and the gather that reads them."""

from dataclasses import dataclass, replace

import torch

from seawall.budget.heartbeat import Beat
from seawall.losses.objective import Objective, terms_of
from seawall.models.shape import ModelShape
from seawall.stores.panel import Panel
from seawall.stores.scalers import Scaler, fit_columns
from seawall.train.config import TrainConfig
from seawall.train.entity_weights import entity_weights
from seawall.train.inference import scaled_gather
from seawall.train.inputs import ModelInputs, fit_inputs, model_shape
from seawall.train.ranks import Ranks
from seawall.train.segments import learnt_steps, recent_samples, refuse_empty, train_samples, valid_samples
from seawall.train.validate import Validator
from seawall.windows.api import columns_of
from seawall.windows.folds import Fold
from seawall.windows.gather import Beside, Gather
from seawall.windows.samples import Samples, select_ranges


@dataclass(frozen=True, slots=True)
class FoldData:
    """The samples of train and valid, and what is known of train before a model sees it."""

    panel: Panel
    fold: Fold
    config: TrainConfig
    train: Samples
    valid: Samples
    steps: tuple[Samples, Samples] | None
    """Of a sequence, the rows of train and of valid that count as steps."""
    scaler: Scaler
    inputs: ModelInputs
    gather: Gather

    @property
    def sizes(self) -> ModelShape:
        """Sizes the model is built for."""
        targets, lookback = len(self.config.target_names), self.config.lookback_periods
        return model_shape(self.gather.num_features, targets, self.inputs, lookback_periods=lookback)

    @property
    def counts(self) -> dict[str, int]:
        """Samples of both segments."""
        return {"num_train_samples": self.train.num_samples, "num_valid_samples": self.valid.num_samples}

    @property
    def num_purged(self) -> int:
        """Rows of both segments that would tell of a later one."""
        return self.train.num_purged + self.valid.num_purged

    def validator(self, batch_size: int, device: torch.device) -> Validator:
        """Make what judges a model on valid, ``batch_size`` samples at a time."""
        objective = Objective(terms_of(self.config.loss, self.config.target_names))
        steps = None if self.steps is None else self.steps[1]
        return Validator(self.gather, self.valid, self.fold.valid, self.scaler, objective, batch_size, device, steps)

    def in_sample(self, validator: Validator) -> Validator | None:
        """Judge the last dates of train as valid is judged; None where no sample is left on them."""
        recent, dates = recent_samples(self.panel, self.fold, self.config)
        if not recent.num_samples:
            return None
        return replace(validator, samples=recent, segment=dates, steps=None if self.steps is None else self.steps[0])


def prepare(
    panel: Panel, fold: Fold, config: TrainConfig, *, random_access: bool, ranks: Ranks, beat: Beat
) -> FoldData:
    """Choose the samples of a fold and learn their scale from train; of several ranks the first one fits the scaler.

    Raises
    ------
    DataError
        Where a segment has no sample, or a column no value in the train rows.
    """
    beat("choose samples")
    train, valid = train_samples(panel, fold, config), valid_samples(panel, fold, config)
    refuse_empty(fold, {"train": train, "valid": valid}, config)
    beat("fit scaler")
    steps = learnt_steps(panel, fold, config)
    scaled = train if steps is None else steps[0]
    scaler = Scaler.from_record(ranks.from_rank(0, lambda: fit_scaler(panel, fold, scaled, config).record()))
    # A second mapping: advice against reading ahead must not slow the passes in row order down.
    source = Panel(panel.path) if random_access else panel
    inputs = fit_inputs(panel, train, config.model)
    beside = inputs.beside(panel, _beside(panel, config, scaled, scaler, is_sequence=steps is not None))
    gather = scaled_gather(
        source, config.lookback_periods, scaler, config.target_names, random_access=random_access, beside=beside
    )
    return FoldData(panel, fold, config, train, valid, steps, scaler, inputs, gather)


def _beside(panel: Panel, config: TrainConfig, scaled: Samples, scaler: Scaler, *, is_sequence: bool) -> Beside:
    """Say what a batch carries beside features, targets and what the model itself takes."""
    beside = Beside(weight=config.weighted and bool(panel.names("weights")))
    if config.entity_weights != "none":
        watched = config.target_names.index(config.watched)
        column, std = panel.column_index("targets", config.watched), scaler.targets[watched].std
        beside = replace(beside, entity_weight=entity_weights(panel, scaled, column, std))
    return replace(beside, sequence_targets=True, steps=scaled) if is_sequence else beside


def fit_scaler(panel: Panel, fold: Fold, train: Samples, config: TrainConfig) -> Scaler:
    """Fit the scaler of a fold: features on all rows of the train dates, targets on the train samples."""
    columns = columns_of(panel, "features", config.features)
    names = [panel.names("features")[column] for column in columns]
    targets = [panel.column_index("targets", target) for target in config.target_names]
    first, *more = fit_columns(panel.targets, train.blocks(), targets, config.target_names)
    return Scaler(
        features=fit_columns(panel.features, select_ranges(panel, fold.train_ranges, 1).blocks(), columns, names),
        target=first,
        feature_clip_sigmas=config.feature_clip_sigmas,
        target_clip_sigmas=config.target_clip_sigmas,
        more_targets=tuple(more),
    )
