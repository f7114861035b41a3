"""What the configs of all models share."""

from typing import ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from seawall.models.shape import ModelShape

Input: TypeAlias = Literal["features", "static", "entity"]

LAST_OUTPUT: Literal["last"] = "last"


class NetworkConfig(BaseModel):
    """What all networks share: they learn by gradients, and give one value a sample or one a step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: ClassVar[tuple[Input, ...]] = ("features",)
    """What the network is called with, in this order."""
    is_baseline: ClassVar[bool] = False

    # last: a prediction is of the day it is made on; sequence learns from every step of a lookback at once.
    output: Literal["last", "sequence"] = Field(
        default="last", description="last gives the value of the last step, sequence one of every step"
    )

    @property
    def takes(self) -> tuple[Input, ...]:
        """What the model is called with."""
        return self.inputs

    @property
    def static_names(self) -> tuple[str, ...]:
        """Name the static attributes the network takes."""
        return ()

    @property
    def kind_name(self) -> str:
        """Name of the model in a config."""
        return str(getattr(self, "kind", ""))

    def num_parameters(self, shape: ModelShape) -> int:
        """Count the weights."""
        raise NotImplementedError

    def activation_bytes(self, batch_size: int, lookback_periods: int, shape: ModelShape, *, training: bool) -> int:
        """Bound the bytes held at once for a batch: forward, and in training what backward reads and makes."""
        raise NotImplementedError

    def unsaid(self) -> set[str]:
        """Name the choices that are left out of records where they have their default: they came later than records."""
        return {"output"} if self.output == LAST_OUTPUT else set()
