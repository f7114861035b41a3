"""What must be said of weights that were trained elsewhere before they can predict."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from seawall.train.config import TrainConfig

WEIGHT_ENDINGS = (".safetensors", ".pt", ".pth")
"""Files that are read as state dicts."""


class Scale(BaseModel):
    """What a value was reduced by and divided by."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mean: float = Field(description="subtracted from a value")
    std: float = Field(gt=0, description="a value less the mean is divided by it")


class Scaling(BaseModel):
    """The scaling that models were taught with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: dict[str, Scale] = Field(min_length=1, description="of each feature, by its name in the panel")
    targets: dict[str, Scale] = Field(min_length=1, description="of each target; a prediction is turned back by it")


class ModelsConfig(BaseModel):
    """Weights of somebody's models: what they are, how their inputs were scaled, and what they learnt from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: TrainConfig = Field(description="model, features in their order, target, lookback and folds")
    # No default: a wrong guess gives predictions that look right and are not.
    scaling: Literal["fitted", "none"] | Scaling = Field(
        description="fitted: z-scores over the train rows of each fold, as seawall's own; none; or every mean and std"
    )
    strip_prefix: str = Field(default="", description="cut off the names of weights, such as model. or module.")
    entities: tuple[str, ...] = Field(
        default=(), description="names by their number in an embedding, from 1 on; a model of entities needs them"
    )

    @model_validator(mode="after")
    def _says_every_column(self) -> "ModelsConfig":
        if self.train.features is None:
            raise ValueError("train.features: name them in the order in which the model takes them")
        if isinstance(self.scaling, Scaling):
            for what, names, known in (
                ("features", self.train.features, self.scaling.features),
                ("targets", self.train.target_names, self.scaling.targets),
            ):
                missing = [name for name in names if name not in known]
                if missing:
                    raise ValueError(f"scaling.{what}: {missing[0]!r} has no mean and std")
        embeds = "entity" in self.train.model.takes and getattr(self.train.model, "embedding_size", 0) > 0
        if embeds and not self.entities:
            raise ValueError("entities: the model has an embedding; name the entities in the order of its rows")
        if self.train.model.static_names and isinstance(self.scaling, Scaling):
            raise ValueError("scaling: of a model with static attributes, fitted or none")
        return self
