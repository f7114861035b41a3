"""Choices of join."""

from pydantic import BaseModel, ConfigDict, Field

STAGE_VERSION: int = 1
"""Raised when what the stage writes changes for the same inputs."""


class JoinConfig(BaseModel):
    """What the backtest table carries beside predictions and forward returns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # All of them: which price a strategy will trade at is chosen after the join.
    prices: tuple[str, ...] = Field(default=(), description="price columns of the panel to carry; none named means all")
