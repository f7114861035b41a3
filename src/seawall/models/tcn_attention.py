"""Dilated causal convolutions, then attention over their steps; each entity may bring what is known of it by name."""

from torch import Tensor, nn
from torch.nn import functional

from seawall.models.config import TcnAttentionConfig
from seawall.models.head import Head
from seawall.models.shape import ModelShape


class TcnAttention(nn.Module):
    """Map float32 [B, L, F] and entity numbers int64 [B] to float32 [B, K], or [B, L, K] of every step.

    Convolutions look back only and double their reach from block to block (Bai, Kolter and Koltun, arXiv 1803.01271);
    attention (Vaswani and others, arXiv 1706.03762) of a step reaches the steps up to it. Both stand on residuals with
    layer norm over channels. An entity's embedding is added to every step; number 0 has none, so that an entity the
    model has not learnt is predicted from its features alone.
    """

    def __init__(self, config: TcnAttentionConfig, shape: ModelShape) -> None:
        super().__init__()
        width = config.hidden_size
        self.is_sequence = config.output == "sequence"
        self.entry = nn.Linear(shape.num_features, width)
        self.embedding: nn.Embedding | None = None
        if config.embedding_size:
            self.embedding = nn.Embedding(shape.num_entities + 1, config.embedding_size, padding_idx=0)
            self.widen = nn.Linear(config.embedding_size, width, bias=False)
        self.blocks = nn.ModuleList(
            _Block(width, config.kernel_size, 2**level, config.dropout) for level in range(config.num_blocks)
        )
        self.attention = _Attention(width, config.num_heads)
        self.head = Head(width, shape.num_outputs, config.dropout)

    def forward(self, x_BLF: Tensor, static_BS: Tensor | None = None, entity_B: Tensor | None = None) -> Tensor:
        """Predict one value per sample and output, or per step too; static attributes are not looked at."""
        states_BLH = self.entry(x_BLF)
        if self.embedding is not None and entity_B is not None:
            states_BLH = states_BLH + self.widen(self.embedding(entity_B))[:, None]
        for block in self.blocks:
            states_BLH = block(states_BLH)
        predicted: Tensor = self.head(self.attention(states_BLH, every_step=self.is_sequence))
        return predicted


class _Block(nn.Module):
    """One causal convolution on a residual."""

    def __init__(self, width: int, kernel_size: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.reach = (kernel_size - 1) * dilation
        self.convolution = nn.Conv1d(width, width, kernel_size, dilation=dilation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states_BLH: Tensor) -> Tensor:
        before_BHL = functional.pad(self.norm(states_BLH).transpose(1, 2), (self.reach, 0))
        changed_BLH = functional.relu(self.convolution(before_BHL)).transpose(1, 2)
        changed: Tensor = states_BLH + self.dropout(changed_BLH)
        return changed


class _Attention(nn.Module):
    """Multi-head attention on a residual, of the last step or of every step to those up to it."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.keys_values = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, states_BLH: Tensor, *, every_step: bool) -> Tensor:
        normed_BLH = self.norm(states_BLH)
        asking = slice(None) if every_step else slice(-1, None)
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in (self.query(normed_BLH[:, asking]), *self.keys_values(normed_BLH).chunk(2, dim=-1))
        )
        found = functional.scaled_dot_product_attention(query, key, value, is_causal=every_step)
        answered: Tensor = states_BLH[:, asking] + self.out(found.transpose(1, 2).flatten(2))
        return answered if every_step else answered[:, 0]
