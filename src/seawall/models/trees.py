"""Trees boosted by LightGBM, called as a network is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seawall.arrays import Float32
from seawall.errors import ConfigError
from seawall.models.lightgbm_config import LightGbmConfig
from seawall.models.shape import ModelShape


def require_lightgbm() -> Any:  # noqa: ANN401 - LightGBM has no types
    """Import LightGBM, 15 MiB that nothing else needs.

    Raises
    ------
    ConfigError
        Where it is not installed.
    """
    try:
        import lightgbm
    except ImportError as error:
        do = "Install it: pip install 'seawall[lightgbm]'."
        raise ConfigError("train.model", "LightGBM is not installed", found=str(error), do=do) from error
    return lightgbm


class Trees(nn.Module):
    """Map float32 [B, L, F] to float32 [B, K]: one LightGBM model an output, kept as its text.

    The state is the text of each model as bytes, uint8 [n]; nothing in it is executed.
    """

    def __init__(self, config: LightGbmConfig, shape: ModelShape) -> None:
        super().__init__()
        self.is_flat, self.num_outputs = config.window == "lookback", shape.num_outputs
        self.boosters: list[Any] = []
        self.texts: list[str] = []
        require_lightgbm()

    def set_texts(self, texts: list[str]) -> None:
        """Take the models of all outputs, each as LightGBM writes it.

        Raises
        ------
        ValueError
            Where one is no such text, or there are not as many as outputs.
        """
        lightgbm = require_lightgbm()
        if len(texts) != self.num_outputs:
            raise ValueError(f"{len(texts)} models of trees for {self.num_outputs} outputs")
        try:
            self.boosters = [lightgbm.Booster(model_str=text) for text in texts]
        except lightgbm.basic.LightGBMError as error:
            raise ValueError(f"no model of LightGBM: {error}") from error
        self.texts = texts

    def inputs(self, x_BLF: Tensor) -> Float32:
        """Give float32 [B, D]: the columns trees split by."""
        chosen = x_BLF.flatten(1) if self.is_flat else x_BLF[:, -1]
        return np.ascontiguousarray(chosen.cpu().numpy())

    def forward(self, x_BLF: Tensor, static_BS: Tensor | None = None, entity_B: Tensor | None = None) -> Tensor:
        """Predict one value per sample and output; static attributes and entity are not looked at."""
        columns = self.inputs(x_BLF)
        if not len(columns):
            return torch.zeros(0, self.num_outputs, device=x_BLF.device)
        values = [booster.predict(columns, num_threads=1) for booster in self.boosters]
        return torch.from_numpy(np.stack(values, axis=1).astype(np.float32)).to(x_BLF.device)

    def encoded(self) -> dict[str, Tensor]:
        """Give the text of each output as bytes, uint8 [n]."""
        encoded = (np.frombuffer(text.encode(), np.uint8).copy() for text in self.texts)
        return {f"trees_{number:02d}": torch.from_numpy(each) for number, each in enumerate(encoded)}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:  # noqa: ANN401 - torch's own signature
        """Take what :meth:`encoded` gave."""
        del strict, assign
        self.set_texts([bytes(state_dict[name].numpy()).decode() for name in sorted(state_dict)])
