"""A user's own torch module: where it is, what it is made with, and what a probe has measured of it."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from seawall.errors import ConfigError
from seawall.models.network_config import Input, NetworkConfig
from seawall.models.shape import ModelShape

_TARGET = re.compile(r"(.+\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):[A-Za-z_]\w*")


def _checked_target(value: str) -> str:
    if _TARGET.fullmatch(value):
        return value
    raise ValueError("must be package.module:Class, or path/to/file.py:Class")


class Held(BaseModel):
    """What a pass of a module holds beside weights and inputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fixed_bytes: int = Field(ge=0, description="whatever the batch")
    sample_bytes: int = Field(ge=0, description="more for each sample of a batch")

    def bytes(self, batch_size: int) -> int:
        """Bound a batch."""
        return self.fixed_bytes + self.sample_bytes * batch_size


class Measured(BaseModel):
    """What a probe in a process of its own has found: the plan is made of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(description="stands for the code, arguments and sizes it was measured at")
    num_parameters: int = Field(ge=1, description="weights, in units of four bytes")
    learning: Held = Field(description="forward and backward")
    judging: Held = Field(description="forward alone")
    library_bytes: int = Field(ge=0, description="what its code imports and makes beside weights")
    # 0: plans made before there were any.
    optimizer_bytes: int = Field(default=0, ge=0, description="state of an optimiser of its own")


class ModuleConfig(NetworkConfig):
    """A torch.nn.Module of the user's own, or a LightningModule, by the place of its class."""

    # Editors tell the models apart by kind, which only the default one may leave out.
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"required": ["kind", "target"]})

    kind: Literal["module"] = "module"
    target: Annotated[str, AfterValidator(_checked_target)] = Field(
        description="package.module:Class, or path/to/file.py:Class; its code is run"
    )
    # Empty: sizes that the class asks for by name (num_features, num_outputs, ...) are given to it anyway.
    arguments: dict[str, JsonValue] = Field(default={}, description="what the class is made with, by name")
    # Empty: forward takes features alone.
    static: tuple[str, ...] = Field(default=(), description="number attributes of entities that forward takes: static")
    # False: a model that must not know names.
    entities: bool = Field(default=False, description="forward takes the number of each sample's entity: entity")
    # Empty: found when a run is planned.
    source: str = Field(default="", description="checksum of the file of the class; found by the plan")
    # None: found when a run is planned.
    measured: Measured | None = Field(default=None, description="what a probe has found; made by the plan")

    @property
    def takes(self) -> tuple[Input, ...]:
        """What the module is called with."""
        static: tuple[Input, ...] = ("static",) if self.static else ()
        entity: tuple[Input, ...] = ("entity",) if self.entities else ()
        return ("features", *static, *entity)

    @property
    def static_names(self) -> tuple[str, ...]:
        """Name the static attributes the module takes."""
        return self.static

    def num_parameters(self, shape: ModelShape) -> int:
        """Give the weights the probe has counted."""
        del shape
        return self.found.num_parameters

    def activation_bytes(self, batch_size: int, lookback_periods: int, shape: ModelShape, *, training: bool) -> int:
        """Bound the bytes held at once for a batch, from what the probe has measured at the largest one."""
        del lookback_periods, shape
        return (self.found.learning if training else self.found.judging).bytes(batch_size)

    @property
    def found(self) -> Measured:
        """What the probe has found.

        Raises
        ------
        ConfigError
            Before there was one.
        """
        if self.measured is None:
            raise ConfigError("train.model", "the module is not measured yet", do="Plan or run the config.")
        return self.measured

    def unsaid(self) -> set[str]:
        """Leave out what was measured, which decides nothing, beside what all models leave out."""
        return super().unsaid() | {"measured"}
