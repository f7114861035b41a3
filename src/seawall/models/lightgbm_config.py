"""Boosted trees by LightGBM: what they may be, and what they cost."""

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from seawall.models.network_config import NetworkConfig
from seawall.models.shape import ModelShape
from seawall.units import MIB

LEAF_WEIGHTS = 30
"""Text of a leaf and its split, in weights of 4 bytes (100 to 120 bytes a leaf measured)."""

BIN_SAMPLE_BYTES = 16 * MIB
"""Rows the bins are cut by, as float64."""

ROW_BYTES = 72
"""Of a row beside its bins: row id, label and weight twice, score, gradient, hessian, places in leaves twice."""

CHUNK_ROWS = 4096
"""Rows gathered and binned together."""


class LightGbmConfig(NetworkConfig):
    """Trees boosted one after another until valid gets no better; needs the extra ``lightgbm``."""

    # Editors tell the models apart by kind, which only the default one may leave out.
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"required": ["kind"]})
    is_baseline: ClassVar[bool] = True

    kind: Literal["lightgbm"] = "lightgbm"
    # last: features mostly look back themselves; a whole lookback has lookback times the columns.
    window: Literal["last", "lookback"] = Field(
        default="last", description="features of the last step, or of every step of the lookback side by side"
    )
    # 500 at 0.05: weak signals are learnt within some hundred trees; valid stops sooner.
    max_trees: int = Field(default=500, ge=1, le=100_000, description="trees of each target at most")
    tree_rate: float = Field(default=0.05, gt=0, le=1, description="share of its fit that each tree adds")
    # 50: at a rate of 0.05 the score moves slowly.
    patience_trees: int = Field(default=50, ge=1, description="trees without a better valid score before it stops")
    # 31: LightGBM's own default.
    num_leaves: int = Field(default=31, ge=2, le=4096, description="leaves of a tree at most")
    # 100: leaves of twenty days of one name are noise.
    min_leaf_samples: int = Field(default=100, ge=1, description="fewest samples of a leaf")
    # 0.8: trees that do not all see the same are worth more together.
    feature_share: float = Field(default=0.8, gt=0, le=1, description="share of the columns each tree may split by")
    sample_share: float = Field(default=0.8, gt=0, le=1, description="share of the samples each tree is grown on")
    # 1.0: hardly felt by leaves of a hundred samples.
    leaf_penalty: float = Field(default=1.0, ge=0, description="penalty on squared values of leaves")
    # 255: a column then takes a byte a row.
    max_bins: int = Field(default=255, ge=2, le=255, description="values a column is rounded to")

    def num_inputs(self, shape: ModelShape) -> int:
        """Count the columns."""
        return shape.num_features * (shape.lookback_periods if self.window == "lookback" else 1)

    def num_parameters(self, shape: ModelShape) -> int:
        """Bound the text of all trees, in weights of four bytes."""
        return LEAF_WEIGHTS * shape.num_outputs * self.max_trees * self.num_leaves

    def bin_rows(self, shape: ModelShape) -> int:
        """Count the rows that bins are cut by: as many as fit 16 MiB, 1,000 at least."""
        return max(1000, min(50_000, BIN_SAMPLE_BYTES // (8 * self.num_inputs(shape))))

    def data_bytes(self, shape: ModelShape, num_samples: int) -> int:
        """Count what train and valid hold binned: bytes of columns, twice, and what each row has beside them."""
        return num_samples * (2 * self.num_inputs(shape) + ROW_BYTES)

    def table_bytes(self, shape: ModelShape) -> int:
        """Count histograms of all leaves, the rows bins are cut by, and chunks on their way."""
        columns = self.num_inputs(shape)
        histograms = 16 * (self.num_leaves + 1) * (self.max_bins + 1) * columns
        return histograms + 3 * 8 * columns * self.bin_rows(shape) + 3 * 8 * columns * CHUNK_ROWS

    def activation_bytes(self, batch_size: int, lookback_periods: int, shape: ModelShape, *, training: bool) -> int:
        """Bound the bytes held at once for a batch: its columns as they are, and as float64."""
        return 12 * batch_size * (self.num_inputs(shape) + 2)
