"""What a model may be, and what it will cost: plain arithmetic, so that planning need not import torch."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from seawall.errors import nearest
from seawall.models.lightgbm_config import LightGbmConfig
from seawall.models.module_config import ModuleConfig
from seawall.models.network_config import LAST_OUTPUT, Input, NetworkConfig
from seawall.models.shape import ModelShape


class LstmConfig(NetworkConfig):
    """An LSTM over the lookback and one linear head on its state."""

    # Editors tell the models apart by kind, which only the default one may leave out.
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"required": ["kind"]})

    kind: Literal["lstm"] = "lstm"
    # 32: as for lstm_attention, whose sizes were tried on daily cross-sections.
    hidden_size: int = Field(default=32, ge=1, le=4096, description="width of the LSTM state")
    # 1: a second layer doubles the time of a step.
    num_layers: int = Field(default=1, ge=1, le=8, description="stacked LSTM layers")
    # 0.1: enough to matter over some tens of epochs without slowing the first ones.
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="share of values dropped before the head and between layers"
    )

    def num_parameters(self, shape: ModelShape) -> int:
        """Count the weights."""
        hidden = self.hidden_size
        return _lstm_weights(shape.num_features, hidden, self.num_layers) + _head_weights(hidden, shape)

    def activation_bytes(self, batch_size: int, lookback_periods: int, shape: ModelShape, *, training: bool) -> int:
        """Bound the bytes held at once for a batch: forward, and in training what backward reads and makes."""
        steps = batch_size * lookback_periods
        held = _lstm_values(shape.num_features, self.hidden_size, self.num_layers, training=training)
        of_head = _head_values(self.output, self.hidden_size, shape, training=training)
        return int(4 * steps * (held + of_head if training else max(held, self.hidden_size + of_head)))


class LstmAttentionConfig(NetworkConfig):
    """An LSTM over the lookback, attention over its steps, one linear head."""

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

    def num_parameters(self, shape: ModelShape) -> int:
        """Count the weights."""
        hidden = self.hidden_size
        lstm = _lstm_weights(shape.num_features, hidden, self.num_layers)
        return lstm + hidden * hidden + _head_weights(2 * hidden, shape)

    def activation_bytes(self, batch_size: int, lookback_periods: int, shape: ModelShape, *, training: bool) -> int:
        """Bound the bytes held at once for a batch: forward, and in training what backward reads and makes."""
        steps = batch_size * lookback_periods
        held = _lstm_values(shape.num_features, self.hidden_size, self.num_layers, training=training)
        if self.output == "sequence":  # every step asks every step: lookback x lookback scores, three times
            held += _head_values(self.output, 2 * self.hidden_size, shape, training=training) + 3 * lookback_periods
            held += (4.5 if training else 2) * self.hidden_size
        elif training:
            held += 2.5 * self.hidden_size
        return int(4 * steps * held)


class BranchLstmConfig(NetworkConfig):
    """An LSTM over the lookback beside a branch for what never changes of an entity; a small head merges the two."""

    inputs: ClassVar[tuple[Input, ...]] = ("features", "static")

    # Editors tell the models apart by kind, which only the default one may leave out.
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"required": ["kind", "static"]})

    kind: Literal["branch_lstm"] = "branch_lstm"
    static: tuple[str, ...] = Field(
        min_length=1, description="number attributes of entities, kept at ingest under static"
    )
    # 64: rivers are taught with more than market days are: a state must carry a season of snow and soil.
    hidden_size: int = Field(default=64, ge=1, le=4096, description="width of the LSTM state")
    # 1: one layer is what the literature on catchments uses.
    num_layers: int = Field(default=1, ge=1, le=8, description="stacked LSTM layers")
    # 16: attributes are few (10 to 30) and much alike; more width learns the entities by heart.
    static_size: int = Field(default=16, ge=1, le=1024, description="width of the branch of static attributes")
    # 32: half the state.
    merge_size: int = Field(default=32, ge=1, le=4096, description="width of the layer that merges the branches")
    # 0.1: as for lstm.
    dropout: float = Field(default=0.1, ge=0, lt=1, description="share of values dropped before and after the merge")

    @property
    def static_names(self) -> tuple[str, ...]:
        """Name the static attributes the network takes."""
        return self.static

    def num_parameters(self, shape: ModelShape) -> int:
        """Count the weights."""
        lstm = _lstm_weights(shape.num_features, self.hidden_size, self.num_layers)
        branch = (shape.num_static + 1) * self.static_size
        merge = (self.hidden_size + self.static_size + 1) * self.merge_size
        return lstm + branch + merge + _head_weights(self.merge_size, shape)

    def activation_bytes(self, batch_size: int, lookback_periods: int, shape: ModelShape, *, training: bool) -> int:
        """Bound the bytes held at once for a batch: forward, and in training what backward reads and makes."""
        steps = batch_size * lookback_periods
        held = _lstm_values(shape.num_features, self.hidden_size, self.num_layers, training=training)
        merged = steps if self.output == "sequence" else batch_size
        joined = self.hidden_size + self.static_size + shape.num_static
        of_head = _head_values("sequence", self.merge_size, shape, training=training)
        heads = (1.5 if training else 2) * joined + (3 if training else 1) * self.merge_size + of_head
        if training:
            return int(4 * (steps * held + merged * heads))
        return int(4 * max(steps * held, steps * self.hidden_size + merged * heads))


class TcnAttentionConfig(NetworkConfig):
    """Dilated causal convolutions, multi-head attention over their steps, an embedding of the entity."""

    inputs: ClassVar[tuple[Input, ...]] = ("features", "entity")

    # Editors tell the models apart by kind, which only the default one may leave out.
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"required": ["kind"]})

    kind: Literal["tcn_attention"] = "tcn_attention"
    # 32: as for the LSTMs, so that a comparison is of kinds, not of sizes.
    hidden_size: int = Field(default=32, ge=1, le=4096, description="channels of the convolutions")
    # 4 blocks of kernel 3 reach back 1 + 2 x (1 + 2 + 4 + 8) = 31 steps: a default lookback of 20 and half as much.
    num_blocks: int = Field(default=4, ge=1, le=12, description="convolutions; the n-th skips 2^(n-1) steps")
    # 3: the smallest that sees more than a difference; reach is bought cheaper with blocks.
    kernel_size: int = Field(default=3, ge=2, le=16, description="steps a convolution takes together")
    # 4: heads of 8 channels.
    num_heads: int = Field(default=4, ge=1, le=64, description="heads of the attention; divides hidden_size")
    # 8: a handful of numbers tell entities apart; 0 for models that must not know names.
    embedding_size: int = Field(default=8, ge=0, le=512, description="numbers learnt for each entity; 0: none")
    # 0.1: as for lstm.
    dropout: float = Field(default=0.1, ge=0, lt=1, description="share of values dropped after each convolution")

    @model_validator(mode="after")
    def _heads_divide_channels(self) -> "TcnAttentionConfig":
        if self.hidden_size % self.num_heads:
            raise ValueError(f"num_heads: {self.num_heads} heads do not divide {self.hidden_size} channels")
        return self

    def num_parameters(self, shape: ModelShape) -> int:
        """Count the weights; the embedding has a row for every entity of the panel, learnt or not."""
        width, embedded = self.hidden_size, self.embedding_size
        entry = (shape.num_features + 1) * width
        embedding = (shape.num_entities + 1) * embedded + embedded * width if embedded else 0
        blocks = self.num_blocks * (width * width * self.kernel_size + 3 * width)
        attention = 4 * width * width + 2 * width
        return entry + embedding + blocks + attention + _head_weights(width, shape)

    def activation_bytes(self, batch_size: int, lookback_periods: int, shape: ModelShape, *, training: bool) -> int:
        """Bound the bytes held at once for a batch: forward, and in training what backward reads and makes."""
        width, is_sequence = self.hidden_size, self.output == "sequence"
        reaches = [(self.kernel_size - 1) * 2**level / lookback_periods for level in range(self.num_blocks)]
        if training:  # each block keeps what it took, normed and padded, and what it gave
            values = 8 + 4.2 * self.num_blocks + 1.1 * sum(reaches) + 3 * is_sequence
        else:
            values = max(8 if is_sequence else 5, 5 + 1.2 * reaches[-1])
        held = shape.num_features + values * width + _head_values(self.output, width, shape, training=training)
        return int(4 * batch_size * lookback_periods * held)


class RidgeConfig(NetworkConfig):
    """A linear model with a penalty on its weights, solved exactly in one pass: what every network must beat."""

    # Editors tell the models apart by kind, which only the default one may leave out.
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"required": ["kind"]})
    is_baseline: ClassVar[bool] = True

    kind: Literal["ridge"] = "ridge"
    # last: features mostly look back themselves; a whole lookback has lookback times the weights.
    window: Literal["last", "lookback"] = Field(
        default="last", description="features of the last step, or of every step of the lookback side by side"
    )
    # Seven decades: from hardly any penalty to one that only the strongest features survive.
    penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
        min_length=1,
        max_length=100,
        description="penalties tried, for each sample and squared weight of a scaled feature; valid chooses",
    )

    def num_inputs(self, shape: ModelShape) -> int:
        """Count the weights of one output beside its constant."""
        return shape.num_features * (shape.lookback_periods if self.window == "lookback" else 1)

    def num_parameters(self, shape: ModelShape) -> int:
        """Count the weights, each float64, as two of the usual four bytes."""
        return 2 * shape.num_outputs * (self.num_inputs(shape) + 1)

    def moment_bytes(self, shape: ModelShape) -> int:
        """Count the sums of products of train and of valid for each output, and what solving them takes."""
        return 8 * (2 * shape.num_outputs + 8) * (self.num_inputs(shape) + 2) ** 2

    def activation_bytes(self, batch_size: int, lookback_periods: int, shape: ModelShape, *, training: bool) -> int:
        """Bound the bytes held at once for a batch: its features as float64, three times while sums are taken."""
        return 8 * (4 if training else 2) * batch_size * (self.num_inputs(shape) + 2)


KINDS = ("lstm", "lstm_attention", "branch_lstm", "tcn_attention", "ridge", "lightgbm", "module")
"""Models by name."""

DEFAULT_KIND = "lstm_attention"


def _kind_of(value: object) -> str:
    kind = value.get("kind", DEFAULT_KIND) if isinstance(value, dict) else getattr(value, "kind", "")
    return str(kind)


def _checked_kind(value: object) -> object:
    """Take a bare name as a model with its defaults, and refuse a name there is none of."""
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, dict | NetworkConfig):
        # Not a TypeError: pydantic tells of values alone.
        raise ValueError("must be the name of a model, or a mapping with its kind")  # noqa: TRY004
    if isinstance(value, dict) and _kind_of(value) not in KINDS:
        raise ValueError(f"kind: unknown model {value.get('kind')!r}; {nearest(_kind_of(value), KINDS)}")
    return value


ModelConfig = Annotated[
    Annotated[LstmConfig, Tag("lstm")]
    | Annotated[LstmAttentionConfig, Tag("lstm_attention")]
    | Annotated[BranchLstmConfig, Tag("branch_lstm")]
    | Annotated[TcnAttentionConfig, Tag("tcn_attention")]
    | Annotated[RidgeConfig, Tag("ridge")]
    | Annotated[LightGbmConfig, Tag("lightgbm")]
    | Annotated[ModuleConfig, Tag("module")],
    Discriminator(_kind_of),
    BeforeValidator(_checked_kind),
]
"""Any model; one without a kind is an LSTM with attention."""


PADDED_TO = 16
"""oneDNN lays the rows of a recurrent layer out in multiples of 64 bytes."""

FORWARD_VALUES = 4
"""Values held at once per step and hidden unit of an LSTM without gradients (3 measured, 3.5 with two layers)."""

LOSS_VALUES = 8
"""Values held for each output of a step while its loss is taken and goes back."""


def _lstm_weights(num_features: int, hidden_size: int, num_layers: int) -> int:
    widths = [num_features] + [hidden_size] * (num_layers - 1)
    return sum(4 * hidden_size * (width + hidden_size + 2) for width in widths)


def _lstm_values(num_features: int, hidden_size: int, num_layers: int, *, training: bool) -> float:
    """Count the values of a step that stacked LSTM layers hold.

    In training oneDNN keeps for each layer 12 values a unit (gates, states, cells) and 7.5 rows as wide as the wider
    of what goes in and comes out, padded (18.5 a unit measured in all; 46 where 12 features meet 4 units; of 32 to 400
    features up to 8.3 a feature beside the units), with one more of what goes in and up to 64 values beside it. Without
    gradients all but its states are let go before a head begins: the larger of both is held.
    """
    if not training:
        return 3 * num_features + FORWARD_VALUES * hidden_size
    widths = [num_features] + [hidden_size] * (num_layers - 1)
    rows = sum(-(-max(width, hidden_size) // PADDED_TO) * PADDED_TO for width in widths)
    return num_features + min(num_features, 64) + 12 * hidden_size * num_layers + 7.5 * rows


def _head_weights(width: int, shape: ModelShape) -> int:
    return 2 * width + shape.num_outputs * (width + 1)


def _head_values(output: str, width: int, shape: ModelShape, *, training: bool) -> int:
    """Count the values of a step that a head of every step holds; one of the last step alone holds next to none."""
    if output == LAST_OUTPUT:
        return 0
    return 2 * width + (LOSS_VALUES if training else 2) * shape.num_outputs
