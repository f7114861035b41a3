"""LSTM with attention: the state after a step asks which steps of the lookback up to it matter for it."""

import math

import torch
from torch import Tensor, nn

from seawall.models.config import LstmAttentionConfig
from seawall.models.shape import ModelShape


class LstmAttention(nn.Module):
    """Map float32 [B, L, F] to float32 [B, K], or [B, L, K] of every step.

    Attention is the general score of Luong, Pham and Manning (arXiv 1508.04025), scaled by the root of the width: the
    state of a step is compared with every step of the same lookback up to it. Nothing outside a sample's own lookback
    is seen, and samples of a batch do not see each other.
    """

    def __init__(self, config: LstmAttentionConfig, shape: ModelShape) -> None:
        super().__init__()
        hidden = config.hidden_size
        between_layers = config.dropout if config.num_layers > 1 else 0.0
        self.lstm = nn.LSTM(shape.num_features, hidden, config.num_layers, batch_first=True, dropout=between_layers)
        self.is_sequence = config.output == "sequence"
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.norm = nn.LayerNorm(2 * hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * hidden, shape.num_outputs)
        # The first prediction is then 0, the mean of the scaled target: the best constant, where a random head would
        # spend the first steps on unlearning noise.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x_BLF: Tensor, static_BS: Tensor | None = None, entity_B: Tensor | None = None) -> Tensor:
        """Predict one value per sample and output, or per step too; static attributes and entity are not looked at."""
        states_BLH, _ = self.lstm(x_BLF)
        asking, context = self._every_step(states_BLH) if self.is_sequence else self._last_step(states_BLH)
        seen = self.dropout(self.norm(torch.cat([context, asking], dim=-1)))
        predicted: Tensor = self.head(seen)
        return predicted

    def _last_step(self, states_BLH: Tensor) -> tuple[Tensor, Tensor]:
        last_BH = states_BLH[:, -1]
        scores_BL = torch.einsum("bh,blh->bl", self.query(last_BH), states_BLH) / math.sqrt(states_BLH.shape[-1])
        return last_BH, torch.einsum("bl,blh->bh", torch.softmax(scores_BL, dim=1), states_BLH)

    def _every_step(self, states_BLH: Tensor) -> tuple[Tensor, Tensor]:
        num_steps, width = states_BLH.shape[1:]
        later_LL = torch.ones(num_steps, num_steps, dtype=torch.bool, device=states_BLH.device).triu(1)
        scores_BLL = torch.einsum("bqh,blh->bql", self.query(states_BLH), states_BLH) / math.sqrt(width)
        weights_BLL = torch.softmax(scores_BLL.masked_fill(later_LL, -math.inf), dim=-1)
        return states_BLH, torch.einsum("bql,blh->bqh", weights_BLL, states_BLH)
