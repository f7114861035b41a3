"""How a model that predicts every step of a lookback learns, and what is stored of its predictions."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SequenceConfig(BaseModel):
    """Samples of a model with ``output: sequence``, and the one value a row that is stored of its predictions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # 1: every row ends a sample, as with one value a sample. Long lookbacks then teach each step many times over.
    stride_periods: int = Field(
        default=1, ge=1, description="rows of an entity from one sample to the next; of mean also while predicting"
    )
    # last: a row is predicted with a whole lookback before it, as by a model of one value a sample.
    reduce: Literal["last", "mean", "non_overlapping"] = Field(
        default="last",
        description="what is stored of a row: last, the last step of a window that ends at it; mean, over all windows "
        "it is a step of; non_overlapping, its step of windows laid end to end",
    )
