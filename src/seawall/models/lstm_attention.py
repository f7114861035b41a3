"""LSTM with attention: the state after the last step asks which steps of the lookback matter for it."""

import math

import torch
from torch import Tensor, nn

from seawall.models.config import LstmAttentionConfig


class LstmAttention(nn.Module):
    """Map float32 [B, L, F] to float32 [B, K].

    Attention is the general score of Luong, Pham and Manning (arXiv 1508.04025), scaled by the root of the width: the
    last state is compared with every step of the same lookback. Nothing outside a sample's own lookback is seen, and
    samples of a batch do not see each other.
    """

    def __init__(self, config: LstmAttentionConfig, num_features: int, num_outputs: int) -> None:
        super().__init__()
        hidden = config.hidden_size
        between_layers = config.dropout if config.num_layers > 1 else 0.0
        self.lstm = nn.LSTM(num_features, hidden, config.num_layers, batch_first=True, dropout=between_layers)
        self.query = nn.Linear(hidden, hidden, bias=False)
        self.norm = nn.LayerNorm(2 * hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * hidden, num_outputs)
        # The first prediction is then 0, the mean of the scaled target: the best constant, where a random head would
        # spend the first steps on unlearning noise.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x_BLF: Tensor) -> Tensor:
        """Predict one value per sample and output."""
        states_BLH, _ = self.lstm(x_BLF)
        last_BH = states_BLH[:, -1]
        scores_BL = torch.einsum("bh,blh->bl", self.query(last_BH), states_BLH) / math.sqrt(states_BLH.shape[-1])
        context_BH = torch.einsum("bl,blh->bh", torch.softmax(scores_BL, dim=1), states_BLH)
        seen = self.dropout(self.norm(torch.cat([context_BH, last_BH], dim=1)))
        predicted: Tensor = self.head(seen)
        return predicted
