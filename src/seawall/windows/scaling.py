"""Scaling of windows for anybody's loop: z-scores fitted on the samples that are learnt from, and on no others."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import Float32
from seawall.errors import ConfigError
from seawall.stores.panel import Panel
from seawall.stores.scalers import fit_columns
from seawall.windows.samples import Samples

CLIP_SIGMAS = 5.0
"""As in the trainer: beyond five deviations a daily number is an error or one day that would rule the gradient."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What turns raw features into model inputs: ``(x - mean) / std``, clipped to +-``clip``, NaN to 0 (the mean)."""

    mean: Float32
    """float32 [F] of the chosen columns."""
    std: Float32
    """float32 [F], none 0."""
    clip: float
    """In standard deviations."""


def fit_scaling(
    panel: Panel, samples: Samples, columns: tuple[int, ...], *, clip_sigmas: float = CLIP_SIGMAS
) -> Scaling:
    """Fit mean and deviation of feature columns over the rows that samples end at.

    One streaming pass; memory does not grow with rows. Nothing after the last of these rows is read, so fitted on the
    train samples of a fold it knows nothing of valid and test. Missing and infinite values are left out.

    Raises
    ------
    DataError
        Naming the first column without a single value.
    """
    names = panel.names("features")
    found = fit_columns(panel.features, samples.blocks(), columns, [names[column] for column in columns])
    mean = np.array([column.mean for column in found], np.float32)
    return Scaling(mean, np.array([column.std for column in found], np.float32), clip_sigmas)


def check_scaling(scaling: Scaling | str | None, num_features: int) -> None:
    """Refuse what is no scaling, or one of another number of columns.

    Raises
    ------
    ConfigError
        Saying what is allowed.
    """
    if scaling is None or (isinstance(scaling, str) and scaling == "zscore"):
        return
    if not isinstance(scaling, Scaling):
        raise ConfigError("scaling", "unknown", found=repr(scaling), allowed="zscore, or the scaling of other windows")
    if len(scaling.mean) != num_features:
        found = f"{len(scaling.mean)} columns"
        raise ConfigError("scaling", "is of other columns", found=found, allowed=f"{num_features} columns")


def check_samples(panel: Panel, samples: Samples, lookback_periods: int) -> None:
    """Refuse samples whose lookback would reach into another entity, or past the panel.

    Raises
    ------
    ConfigError
        Where one does: they were chosen with a shorter lookback, or of another panel.
    """
    if not samples.num_samples:
        raise ConfigError("samples", "there are none", do="Choose a longer segment.")
    starts, last = samples.first_rows - (lookback_periods - 1), samples.first_rows + samples.lengths - 1
    if int(last.max()) >= panel.shape.num_rows:
        raise ConfigError("samples", "are of another panel", found=f"row {int(last.max()):,}")
    if np.any(starts < panel.offsets[panel.entity_of(samples.first_rows)]):
        what = f"have no {lookback_periods} rows of their entity"
        raise ConfigError("samples", what, do="Choose them with the same lookback: sw.folds(..., lookback=...).")
