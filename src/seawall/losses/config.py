"""Which loss a model is trained on."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class MseConfig(BaseModel):
    """Squared error: predicts the mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mse"] = "mse"


class HuberConfig(BaseModel):
    """Squared error near zero, absolute error beyond ``delta_sigmas``: one wild return cannot steer a step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["huber"] = "huber"
    # 1.0: one standard deviation of the target, where daily returns start to be heavier than normal.
    delta_sigmas: float = Field(default=1.0, gt=0, description="where it turns linear, in target standard deviations")


LossConfig = Annotated[MseConfig | HuberConfig, Field(discriminator="kind")]
