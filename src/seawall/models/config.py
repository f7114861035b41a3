"""What a model may be, and what it will cost: plain arithmetic, so that planning need not import torch."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LstmAttentionConfig(BaseModel):
    """An LSTM over the lookback, attention over its steps, one linear head."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lstm_attention"] = "lstm_attention"
    # 32: daily cross-sections carry little signal; a wider model fits noise sooner, at four times the work per
    # doubling.
    hidden_size: int = Field(default=32, ge=1, le=4096, description="width of the LSTM state")
    # 1: a second layer doubles the time of a step; add it when the first one is seen to underfit.
    num_layers: int = Field(default=1, ge=1, le=8, description="stacked LSTM layers")
    # 0.1: enough to matter over some tens of epochs without slowing the first ones.
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="share of values dropped before the head and between layers"
    )

    def num_parameters(self, num_features: int, num_outputs: int) -> int:
        """Count the weights."""
        hidden = self.hidden_size
        widths = [num_features] + [hidden] * (self.num_layers - 1)
        lstm = sum(4 * hidden * (width + hidden + 2) for width in widths)
        return lstm + hidden * hidden + 4 * hidden + num_outputs * (2 * hidden + 1)

    def activation_bytes(self, batch_size: int, lookback_periods: int, num_features: int, *, training: bool) -> int:
        """Bound the bytes held at once for a batch: forward, and in training what backward reads and makes."""
        steps = batch_size * lookback_periods
        values = TRAIN_VALUES + TRAIN_LAYER_VALUES * self.num_layers if training else FORWARD_VALUES
        return 4 * steps * (3 * num_features + values * self.hidden_size)


FORWARD_VALUES = 4
"""Values held at once per step and hidden unit without gradients (3 measured, 3.5 with two layers)."""

TRAIN_VALUES = 12
"""The same in training, for the layer being worked on and the attention (17-20 measured with one layer)."""

TRAIN_LAYER_VALUES = 9
"""And what each layer keeps until its gradient is taken."""

ModelConfig = LstmAttentionConfig
