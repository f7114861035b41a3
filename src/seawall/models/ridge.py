"""A linear model of the features of the last step, or of every step of a lookback."""

import torch
from torch import Tensor, nn

from seawall.models.config import RidgeConfig
from seawall.models.shape import ModelShape


class Ridge(nn.Module):
    """Map float32 [B, L, F] to float32 [B, K], computed in float64. Its weights are solved for, not learnt by steps."""

    def __init__(self, config: RidgeConfig, shape: ModelShape) -> None:
        super().__init__()
        self.is_flat = config.window == "lookback"
        num_inputs = config.num_inputs(shape)
        self.weight = nn.Parameter(torch.zeros(shape.num_outputs, num_inputs, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(shape.num_outputs, dtype=torch.float64))

    def inputs(self, x_BLF: Tensor) -> Tensor:
        """Give float64 [B, D]: what the weights are multiplied with."""
        return (x_BLF.flatten(1) if self.is_flat else x_BLF[:, -1]).double()

    def forward(self, x_BLF: Tensor, static_BS: Tensor | None = None, entity_B: Tensor | None = None) -> Tensor:
        """Predict one value per sample and output; static attributes and entity are not looked at."""
        return (self.inputs(x_BLF) @ self.weight.T + self.bias).float()
