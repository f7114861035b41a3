"""Open panel and predictions together, and read targets of a date from the mapped panel."""

from dataclasses import dataclass, replace
from pathlib import Path

from seawall.arrays import Float64, Int64
from seawall.stores.npy import advise_random
from seawall.stores.panel import Panel, TargetSpec
from seawall.stores.predictions import PredictionStore, open_predictions


@dataclass(frozen=True, slots=True)
class Inputs:
    """A panel, predictions made from it, and the target they predict."""

    panel: Panel
    store: PredictionStore
    spec: TargetSpec
    column: int

    def targets(self, rows: Int64) -> Float64:
        """float64 [n], before the training cast; NaN where the target is not defined."""
        found: Float64 = self.panel.returns[rows, self.column]
        return found


def open_inputs(panel: Path, predictions: Path, target: str | None = None, member: str = "prediction") -> Inputs:
    """Open both, for one target and one column of predictions, and check that they belong together.

    Raises
    ------
    FormatError
        Where one of them is damaged, or folds predict different targets.
    ResumeError
        Where the predictions were made from another panel.
    ConfigError
        For a target that is not predicted.
    """
    opened, store = open_predictions(panel, predictions, target, member)
    column = opened.column_index("targets", store.target)
    # Predictions come by date, the panel lies by entity: a date touches one place per entity. Default read-ahead would
    # fetch 128 KiB around each, and under a tight limit throw most of it away before the next date asks for it.
    advise_random(opened.returns)
    advise_random(opened.time_index)
    return Inputs(opened, store, opened.target_specs[column], column)


def of_member(inputs: Inputs, member: str) -> Inputs:
    """Give the same panel and target with a column beside the predictions: a seed, a baseline, the spread."""
    return replace(inputs, store=PredictionStore(inputs.store.folder, inputs.store.target, member))
