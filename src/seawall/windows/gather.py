"""One batch of windows from the mapped store, with what belongs beside it."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import AnyArray, Bool, Float32, Int64
from seawall.errors import ConfigError
from seawall.stores.npy import advise_random
from seawall.stores.panel import Panel
from seawall.windows.cutter import Cutter
from seawall.windows.samples import Samples
from seawall.windows.scaling import Scaling
from seawall.windows.steps import hide_steps, step_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a batch carries beside features and targets."""

    sequence_targets: bool = False
    """Targets of every step, float32 [B, L, K], not of the last alone."""
    mask: bool = False
    """bool [B, L, F], True where a feature is stored; NaN becomes 0 in the features."""
    fill_missing: bool = False
    """NaN becomes 0, without a mask."""
    entity: bool = False
    """int64 [B], the entity's number in the store."""
    time: bool = False
    """int64 [B], the calendar index of the last step."""
    weight: bool = False
    """float32 [B], the weight of the sample, of a panel that has weights."""
    entity_weight: Float32 | None = None
    """float32 [E], by which the weight of a sample is multiplied, or which is its weight."""
    static: Float32 | None = None
    """float32 [E, S], one row an entity; a batch then has float32 [B, S]."""
    entity_numbers: Int64 | None = None
    """int64 [E], what an entity is called instead of by its number in the store."""
    steps: Samples | None = None
    """Of sequence targets, the rows that may be learnt from: other steps are NaN, and weights are float32 [B, L]."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows that belong together in one step."""

    x: Float32
    """float32 [B, L, F]"""
    y: Float32
    """float32 [B, K], or [B, L, K] of every step; unscaled, NaN where undefined"""
    row: Int64
    """int64 [B], the panel row each window ends at"""
    mask: Bool | None = None
    entity: Int64 | None = None
    time: Int64 | None = None
    static: Float32 | None = None
    weight: Float32 | None = None

    def named(self) -> dict[str, AnyArray]:
        """Give the arrays that are there by name: x, y, row, mask, entity, time, static, weight."""
        names = ("x", "y", "row", "mask", "entity", "time", "static", "weight")
        arrays = ((name, getattr(self, name)) for name in names)
        return {name: array for name, array in arrays if array is not None}

    def __len__(self) -> int:
        return len(self.row)


class Gather:
    """Read windows of one panel, without a Python loop over samples.

    Parameters
    ----------
    features, targets
        Columns to read, in this order; None reads all features.
    scaling
        Given, features are scaled, clipped and NaN becomes 0; without it they come as stored, NaN included.
    random_access
        Tell the kernel not to read ahead on this panel's feature file. Right where the file does not fit in the memory
        at hand: read-ahead then pulls in the whole file many times over. Wrong where it does: reading ahead fills the
        cache in large, cheap steps.
    beside
        What else a batch carries.
    """

    def __init__(
        self,
        panel: Panel,
        lookback_periods: int,
        *,
        features: tuple[int, ...] | None = None,
        targets: tuple[int, ...] = (),
        scaling: Scaling | None = None,
        random_access: bool = False,
        beside: Beside = Beside(),
    ) -> None:
        num_rows, num_features = panel.features.shape
        if not 1 <= lookback_periods <= max(num_rows, 1):
            allowed = f"1 to {num_rows:,}, the rows of the panel"
            raise ConfigError("lookback_periods", "out of range", found=str(lookback_periods), allowed=allowed)
        if random_access:
            advise_random(panel.features)
        self.panel, self.lookback_periods, self.targets = panel, lookback_periods, targets
        self.columns, self.scaling, self.beside = features, scaling, beside
        self.num_features = num_features if features is None else len(features)
        self._cutter = Cutter(
            panel.parts("features"),
            lookback_periods,
            layout=panel.layout,
            columns=features,
            scaling=scaling,
            fill_missing=beside.fill_missing or beside.mask,
        )
        self._target_cutter: Cutter | None = None
        if beside.sequence_targets:
            parts = panel.parts("targets")
            self._target_cutter = Cutter(parts, lookback_periods, layout=panel.layout, columns=targets)

    def features(self, rows: Int64) -> Float32:
        """Give float32 [B, L, F]: the lookback of each sample, oldest step first, ending at its row.

        Memory is the batch. Nothing after a sample's row is read.
        """
        return self._cutter.cut(rows - (self.lookback_periods - 1))

    def target_values(self, rows: Int64) -> Float32:
        """Give float32 [B, K], or [B, L, K] of every step: the chosen targets as stored, NaN where undefined."""
        if not self.targets:
            return np.empty((len(rows), 0), np.float32)
        if self._target_cutter is not None:
            return self._target_cutter.cut(rows - (self.lookback_periods - 1))
        values: Float32 = np.asarray(self.panel.targets[rows])[:, list(self.targets)]
        return values

    @property
    def has_weights(self) -> bool:
        """Whether batches carry weights."""
        return self.beside.weight or self.beside.entity_weight is not None

    def weights(self, rows: Int64) -> Float32 | None:
        """Give float32 [B], or [B, L] where steps are: the weight of each sample; None where they are not asked for."""
        of_entity = self.beside.entity_weight
        own = None if of_entity is None else of_entity[self.panel.entity_of(rows)]
        if own is not None and self.beside.steps is not None:
            own = np.repeat(own[:, None], self.lookback_periods, axis=1)
        if not self.beside.weight:
            return own
        stored = self.panel.weights
        if stored is None:
            raise ConfigError(str(self.panel.path), "the panel has no weights", do="Declare weights at ingest.")
        wanted = rows if self.beside.steps is None else step_rows(rows, self.lookback_periods)
        weights: Float32 = np.array(stored[wanted])
        return weights if own is None else weights * own

    def batch(self, rows: Int64) -> Batch:
        """Read the samples that end at these rows, and what belongs beside them."""
        mask: Bool | None = None
        if self.beside.mask:
            x, mask = self._cutter.cut_with_mask(rows - (self.lookback_periods - 1))
        else:
            x = self.features(rows)
        return self.beside_rows(rows, x, self.target_values(rows), mask)

    def beside_rows(self, rows: Int64, x: Float32, y: Float32, mask: Bool | None) -> Batch:
        """Put windows together with the index arrays of their rows."""
        if self.beside.steps is not None:
            hide_steps(y, rows, self.beside.steps)
        static, entity = self.of_entities(rows)
        time = np.asarray(self.panel.time_index[rows], np.int64) if self.beside.time else None
        return Batch(x, y, rows, mask, entity, time, static, self.weights(rows))

    def of_entities(self, rows: Int64) -> tuple[Float32 | None, Int64 | None]:
        """Give what is known of the entity of each row: static attributes and its number, where they are asked for."""
        wanted = self.beside
        if not wanted.entity and wanted.static is None:
            return None, None
        entity = self.panel.entity_of(rows)
        static = None if wanted.static is None else wanted.static[entity]
        if not wanted.entity:
            return static, None
        return static, entity if wanted.entity_numbers is None else wanted.entity_numbers[entity]
