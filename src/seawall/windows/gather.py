"""One batch of windows from the mapped store: a single fancy index on a strided view, then scaling in place."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from seawall.arrays import Float32, Int64
from seawall.errors import ConfigError
from seawall.stores.npy import advise_random
from seawall.stores.panel import Panel


@dataclass(frozen=True, slots=True)
class Scaling:
    """What turns raw features into model inputs: ``(x - mean) / std``, clipped to +-``clip``, NaN to 0 (the mean)."""

    mean: Float32
    """float32 [F] of the chosen columns."""
    std: Float32
    """float32 [F], none 0."""
    clip: float
    """In standard deviations."""


class Gather:
    """Read windows of one panel into fresh arrays, without a Python loop over samples.

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
    ) -> None:
        source = panel.features
        num_rows, num_features = source.shape
        if not 1 <= lookback_periods <= max(num_rows, 1):
            allowed = f"1 to {num_rows:,}, the rows of the panel"
            raise ConfigError("lookback_periods", "out of range", found=str(lookback_periods), allowed=allowed)
        if random_access:
            advise_random(source)
        self.panel, self.lookback_periods, self.targets = panel, lookback_periods, targets
        self.num_features = num_features if features is None else len(features)
        whole = features is None or features == tuple(range(num_features))
        self._columns = None if whole or features is None else np.asarray(features)
        shape = (max(num_rows - lookback_periods + 1, 0), lookback_periods, num_features)
        self._windows_NLF = as_strided(source, shape, (source.strides[0], *source.strides), writeable=False)
        self._scaling = None if scaling is None else _flat(scaling, lookback_periods)

    def features(self, rows: Int64) -> Float32:
        """Give float32 [B, L, F]: the lookback of each sample, oldest step first, ending at its row.

        Memory is twice the batch where columns are chosen, else once. Nothing after a sample's row is read.
        """
        x_BLF: Float32 = self._windows_NLF[rows - (self.lookback_periods - 1)]
        if self._columns is not None:
            x_BLF = np.take(x_BLF, self._columns, axis=2)
        if self._scaling is not None:
            # One flat row a sample: NumPy's inner loop then runs over the whole lookback, not over a few features.
            _scale(x_BLF.reshape(len(x_BLF), -1), self._scaling)
        return x_BLF

    def target_values(self, rows: Int64) -> Float32:
        """Give float32 [B, K]: the chosen targets as stored, NaN where undefined."""
        values: Float32 = np.asarray(self.panel.targets[rows])[:, list(self.targets)]
        return values


def _flat(scaling: Scaling, lookback_periods: int) -> Scaling:
    return Scaling(np.tile(scaling.mean, lookback_periods), np.tile(scaling.std, lookback_periods), scaling.clip)


def _scale(x: Float32, scaling: Scaling) -> None:
    x -= scaling.mean
    x /= scaling.std
    np.clip(x, -scaling.clip, scaling.clip, out=x)
    np.copyto(x, 0.0, where=np.isnan(x))
