"""A model applied to rows of a panel, and scaled units turned back into those of the target."""

import numpy as np
import torch
from torch import Tensor, nn

from seawall.arrays import Float32, Int64
from seawall.stores.panel import Panel
from seawall.stores.scalers import ColumnScale, Scaler
from seawall.windows.cutter import Scaling
from seawall.windows.gather import Beside, Gather


def scaled_gather(
    panel: Panel,
    lookback_periods: int,
    scaler: Scaler,
    target: str,
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
        targets=(panel.column_index("targets", target),),
        scaling=Scaling(
            np.array([column.mean for column in scaler.features], np.float32),
            np.array([column.std for column in scaler.features], np.float32),
            scaler.feature_clip_sigmas,
        ),
        random_access=random_access,
        beside=beside,
    )


def predict_scaled(model: nn.Module, gather: Gather, rows: Int64, device: torch.device) -> Tensor:
    """Predict rows in the scaled unit of the target: float32 [B, K] on the device. No gradients, no dropout."""
    model.eval()
    with torch.inference_mode():
        predicted: Tensor = model(torch.from_numpy(gather.features(rows)).to(device))
    return predicted


def to_scaled(target_BK: Float32, scaler: Scaler) -> Float32:
    """Turn targets into the unit a model learns in; NaN stays NaN."""
    scale = scaler.target
    scaled = (target_BK - np.float32(scale.mean)) / np.float32(scale.std)
    clip = scaler.target_clip_sigmas
    return scaled if clip is None else np.clip(scaled, -clip, clip)


def to_target_unit(scaled_BK: Float32, scale: ColumnScale) -> Float32:
    """Turn scaled predictions into the unit of the target."""
    unscaled: Float32 = (scaled_BK.astype(np.float64) * scale.std + scale.mean).astype(np.float32)
    return unscaled
