"""A model applied to rows of a panel, and scaled units turned back into those of the target."""

from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from seawall.arrays import Float32, Int64
from seawall.stores.panel import Panel
from seawall.stores.scalers import Scaler
from seawall.windows.gather import Batch, Beside, Gather
from seawall.windows.scaling import Scaling

ModelTensors: TypeAlias = tuple[Tensor, Tensor | None, Tensor | None]
"""Features, static attributes, entity numbers: every model is called with these three, in this order."""


def scaled_gather(
    panel: Panel,
    lookback_periods: int,
    scaler: Scaler,
    targets: tuple[str, ...],
    *,
    random_access: bool = False,
    beside: Beside = Beside(),
) -> Gather:
    """Make the gather that reads what a model was taught to see: its features, scaled and clipped."""
    columns = tuple(panel.column_index("features", column.name) for column in scaler.features)
    return Gather(
        panel,
        lookback_periods,
        features=columns,
        targets=tuple(panel.column_index("targets", target) for target in targets),
        scaling=Scaling(
            np.array([column.mean for column in scaler.features], np.float32),
            np.array([column.std for column in scaler.features], np.float32),
            scaler.feature_clip_sigmas,
        ),
        random_access=random_access,
        beside=beside,
    )


def predict_scaled(
    model: nn.Module, gather: Gather, rows: Int64, device: torch.device, *, every_step: bool = False
) -> Tensor:
    """Predict rows in the scaled unit of the target: float32 [B, K] on the device. No gradients, no dropout.

    With ``every_step`` a model that predicts every step of a lookback gives them all, [B, L, K]; else the last.
    """
    model.eval()
    static, entity = gather.of_entities(rows)
    with torch.inference_mode():
        predicted: Tensor = model(*to_tensors(gather.features(rows), static, entity, device))
    is_sequence = predicted.dim() == 3
    return predicted[:, -1] if is_sequence and not every_step else predicted


def batch_tensors(batch: Batch, part: slice, device: torch.device) -> ModelTensors:
    """Give what a model is called with for a part of a batch."""
    static = None if batch.static is None else batch.static[part]
    entity = None if batch.entity is None else batch.entity[part]
    return to_tensors(batch.x[part], static, entity, device)


def to_tensors(x_BLF: Float32, static_BS: Float32 | None, entity_B: Int64 | None, device: torch.device) -> ModelTensors:
    """Give features, static attributes and entity numbers as tensors on a device; None stays None."""
    return (
        torch.from_numpy(x_BLF).to(device),
        None if static_BS is None else torch.from_numpy(static_BS).to(device),
        None if entity_B is None else torch.from_numpy(entity_B).to(device),
    )


def to_scaled(target_BK: Float32, scaler: Scaler) -> Float32:
    """Turn targets, [B, K] or [B, L, K], into the unit a model learns in; NaN stays NaN."""
    means = np.array([scale.mean for scale in scaler.targets], np.float32)
    stds = np.array([scale.std for scale in scaler.targets], np.float32)
    scaled: Float32 = (target_BK - means) / stds
    clip = scaler.target_clip_sigmas
    return scaled if clip is None else np.clip(scaled, -clip, clip)


def to_target_unit(scaled_BK: Float32, scaler: Scaler) -> Float32:
    """Turn scaled predictions into the units of their targets."""
    means, stds = (np.array([getattr(scale, name) for scale in scaler.targets]) for name in ("mean", "std"))
    unscaled: Float32 = (scaled_BK.astype(np.float64) * stds + means).astype(np.float32)
    return unscaled
