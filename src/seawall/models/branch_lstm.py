"""Two branches: an LSTM over what happens to an entity, and a layer over what it is; a small head merges them."""

import torch
from torch import Tensor, nn

from seawall.models.config import BranchLstmConfig
from seawall.models.head import Head
from seawall.models.shape import ModelShape


class BranchLstm(nn.Module):
    """Map float32 [B, L, F] and static attributes float32 [B, S] to float32 [B, K], or [B, L, K] of every step.

    One model then serves all entities and tells them apart by their attributes, as Kratzert and others do for rivers
    (Hydrology and Earth System Sciences 23, 2019). Step t is predicted from steps up to t.
    """

    def __init__(self, config: BranchLstmConfig, shape: ModelShape) -> None:
        super().__init__()
        between_layers = config.dropout if config.num_layers > 1 else 0.0
        self.lstm = nn.LSTM(
            shape.num_features, config.hidden_size, config.num_layers, batch_first=True, dropout=between_layers
        )
        self.is_sequence = config.output == "sequence"
        self.branch = nn.Linear(shape.num_static, config.static_size)
        self.dropout = nn.Dropout(config.dropout)
        self.merge = nn.Linear(config.hidden_size + config.static_size, config.merge_size)
        self.head = Head(config.merge_size, shape.num_outputs, config.dropout)

    def forward(self, x_BLF: Tensor, static_BS: Tensor | None = None, entity_B: Tensor | None = None) -> Tensor:
        """Predict one value per sample and output, or per step too.

        Raises
        ------
        ValueError
            Without static attributes.
        """
        if static_BS is None:
            raise ValueError("branch_lstm is called with static attributes")
        states_BLH, _ = self.lstm(x_BLF)
        branch = torch.relu(self.branch(static_BS))
        if self.is_sequence:
            states, branch = states_BLH, branch[:, None].expand(-1, states_BLH.shape[1], -1)
        else:
            states = states_BLH[:, -1]
        merged = torch.relu(self.merge(self.dropout(torch.cat([states, branch], dim=-1))))
        predicted: Tensor = self.head(merged)
        return predicted
