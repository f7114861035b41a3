"""Open panel and predictions together, and read targets of a date from the mapped panel."""

import mmap
from dataclasses import dataclass
from pathlib import Path

from seawall.arrays import AnyArray, Float64, Int64
from seawall.errors import FormatError, ResumeError
from seawall.stores.panel import Panel, TargetSpec
from seawall.stores.predictions import PredictionStore


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


def open_inputs(panel: Path, predictions: Path) -> Inputs:
    """Open both and check that they belong together.

    Raises
    ------
    FormatError
        Where one of them is damaged, or folds predict different targets.
    ResumeError
        Where the predictions were made from another panel.
    """
    opened, store = Panel(panel), PredictionStore(predictions)
    for path, manifest in zip(store.paths, store.manifests, strict=True):
        if manifest["panel_key"] != opened.content_key:
            raise ResumeError(
                str(path),
                "these predictions were made from another panel",
                found=str(manifest["panel_key"]),
                allowed=opened.content_key,
                do="Predict again, or name the panel they were made from.",
            )
        if manifest["target"] != store.target:
            raise FormatError(
                str(path), "folds predict different targets", found=manifest["target"], allowed=store.target
            )
    column = opened.column_index("targets", store.target)
    # Predictions come by date, the panel lies by entity: a date touches one place per entity. Default read-ahead would
    # fetch 128 KiB around each, and under a tight limit throw most of it away before the next date asks for it.
    _advise_random(opened.returns)
    _advise_random(opened.time_index)
    return Inputs(opened, store, opened.target_specs[column], column)


def _advise_random(array: AnyArray) -> None:
    mapping: object = array.base
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_RANDOM"):
        mapping.madvise(mmap.MADV_RANDOM)
