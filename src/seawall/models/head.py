"""The last layers of a network: normalise, drop, and one linear map to the outputs."""

from torch import Tensor, nn


class Head(nn.Module):
    """Map float32 [..., H] to float32 [..., K]."""

    def __init__(self, width: int, num_outputs: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, num_outputs)
        # The first prediction is then 0, the mean of the scaled target: the best constant, where a random head would
        # spend the first steps on unlearning noise.
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Predict from states."""
        predicted: Tensor = self.linear(self.dropout(self.norm(states)))
        return predicted
