"""An LSTM: the plainest network with a memory, and the yardstick for those with more."""

from torch import Tensor, nn

from seawall.models.config import LstmConfig
from seawall.models.head import Head
from seawall.models.shape import ModelShape


class Lstm(nn.Module):
    """Map float32 [B, L, F] to float32 [B, K], or [B, L, K] of every step.

    Step t is predicted from steps up to t. Nothing outside a sample's own lookback is seen, and samples of a batch do
    not see each other (Hochreiter and Schmidhuber, Neural Computation 9(8), 1997).
    """

    def __init__(self, config: LstmConfig, shape: ModelShape) -> None:
        super().__init__()
        between_layers = config.dropout if config.num_layers > 1 else 0.0
        self.lstm = nn.LSTM(
            shape.num_features, config.hidden_size, config.num_layers, batch_first=True, dropout=between_layers
        )
        self.is_sequence = config.output == "sequence"
        self.head = Head(config.hidden_size, shape.num_outputs, config.dropout)

    def forward(self, x_BLF: Tensor, static_BS: Tensor | None = None, entity_B: Tensor | None = None) -> Tensor:
        """Predict one value per sample and output, or per step too; static attributes and entity are not looked at."""
        states_BLH, _ = self.lstm(x_BLF)
        predicted: Tensor = self.head(states_BLH if self.is_sequence else states_BLH[:, -1])
        return predicted
