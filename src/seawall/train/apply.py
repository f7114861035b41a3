"""A fitted model applied to arrays: scaled as it was taught, batch by batch."""

import numpy as np
import torch

from seawall.arrays import AnyArray, Float32
from seawall.errors import DataError, StageError
from seawall.train.artefacts import FittedModel
from seawall.train.determinism import repeatable
from seawall.train.inference import to_target_unit, to_tensors


def predict_arrays(fitted: FittedModel, x_NLF: AnyArray, *, batch_size: int, threads: int) -> Float32:
    """Give float32 [N, K], in the units of the targets: rows of ``x_NLF`` [N, L, F], missing values NaN.

    Memory is one batch, and what is given back. No sample is looked at for another.

    Raises
    ------
    DataError
        Where lookback or features are not those the model was trained with.
    StageError
        Where a prediction is not finite.
    """
    scaler, wanted = fitted.scaler, (fitted.record["lookback_periods"], len(fitted.scaler.features))
    if x_NLF.shape[1:] != wanted:
        allowed = f"[N, {wanted[0]}, {wanted[1]}]"
        raise DataError("x", "not the shape the model was trained with", found=str(list(x_NLF.shape)), allowed=allowed)
    mean, std = (np.array([getattr(c, name) for c in scaler.features], np.float32) for name in ("mean", "std"))
    predicted: Float32 = np.empty((len(x_NLF), len(scaler.targets)), np.float32)
    device, module = torch.device("cpu"), fitted.module.eval()
    with repeatable(device, threads=threads, seed=0), torch.inference_mode():
        for start in range(0, len(x_NLF), batch_size):
            cut = slice(start, start + batch_size)
            scaled = (np.asarray(x_NLF[cut], np.float32) - mean) / std
            np.clip(scaled, -scaler.feature_clip_sigmas, scaler.feature_clip_sigmas, out=scaled)
            np.copyto(scaled, 0.0, where=np.isnan(scaled))
            values = module(*to_tensors(scaled, None, None, device))
            predicted[cut] = to_target_unit(values.float().numpy(), scaler)
            if not np.isfinite(predicted[cut]).all():
                raise StageError("predict", "a prediction is not finite", do="Train the model again.")
    return predicted
