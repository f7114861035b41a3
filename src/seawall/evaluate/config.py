"""Choices of evaluate."""

from pydantic import BaseModel, ConfigDict, Field

STAGE_VERSION: int = 1
"""Raised when what the stage writes changes for the same inputs."""


class EvaluateConfig(BaseModel):
    """How predictions are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Fewer names make a correlation that is mostly chance: with 10 its standard error is already a third.
    min_names: int = Field(default=10, ge=3, description="fewest names of a date that still give an IC (names)")
    # Fifths are the usual cut, and leave a few names each on a market of some dozens.
    num_quantiles: int = Field(default=5, ge=2, le=100, description="groups of names by prediction (groups)")
