"""How the learning rate moves over training."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Schedule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ConstantConfig(_Schedule):
    """The same rate at every step."""

    kind: Literal["constant"] = "constant"


class CosineConfig(_Schedule):
    """A straight rise over the warm-up, then half a cosine down to ``end_share`` at the last epoch there can be."""

    kind: Literal["cosine"] = "cosine"
    # 0.05: an epoch of twenty, in which the moments of AdamW settle.
    warmup_share: float = Field(default=0.05, ge=0, lt=1, description="share of all steps in which the rate rises")
    # 0.01: the last steps still move, and no step is wasted.
    end_share: float = Field(default=0.01, ge=0, le=1, description="last rate, as a share of learning_rate")


class OneCycleConfig(_Schedule):
    """Up from a low rate and down to almost none (Smith and Topin, arXiv 1708.07120), both as half a cosine."""

    kind: Literal["one_cycle"] = "one_cycle"
    # 0.3, 25, 10,000: the paper's shape, as torch has it by default.
    rise_share: float = Field(default=0.3, gt=0, lt=1, description="share of all steps in which the rate rises")
    start_divisor: float = Field(default=25.0, gt=1, description="the first rate is learning_rate over this")
    end_divisor: float = Field(default=10_000.0, gt=1, description="the last rate is the first one over this")


class PlateauConfig(_Schedule):
    """Lower the rate where the watched score has not improved for some epochs."""

    kind: Literal["plateau"] = "plateau"
    # 0.5 after 1 epoch: with a patience of 4 epochs the rate is halved a few times before training stops.
    factor: float = Field(default=0.5, gt=0, lt=1, description="what the rate is multiplied by")
    patience: int = Field(default=1, ge=1, description="epochs without a better score before that")
    lowest_share: float = Field(default=0.01, ge=0, le=1, description="least rate, as a share of learning_rate")


ScheduleConfig = Annotated[ConstantConfig | CosineConfig | OneCycleConfig | PlateauConfig, Field(discriminator="kind")]
