"""Choices of evaluate."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

STAGE_VERSION: int = 4
"""Raised when what the stage writes changes for the same inputs."""

Lag = Annotated[int, Field(ge=1, le=250)]

MAX_GROUPS = 32
"""Each group is two more numbers a date; more of them have too few names to tell anything."""


class EvaluateConfig(BaseModel):
    """How predictions are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # None: the first target is what later stages use too; the others are judged beside it.
    target: str | None = Field(
        default=None, description="of several targets, the one whose numbers come first; the first one where missing"
    )
    # Fewer names make a correlation that is mostly chance: with 10 its standard error is already a third.
    min_names: int = Field(default=10, ge=3, description="fewest names of a date that still give an IC (names)")
    # Fifths are the usual cut, and leave a few names each on a market of some dozens.
    num_quantiles: int = Field(default=5, ge=2, le=100, description="groups of names by prediction (groups)")
    # A week, a month: where a score has lost its hold, holding longer costs nothing but turnover saved.
    decay_lags: tuple[Lag, ...] = Field(
        default=(1, 2, 3, 5, 10, 20), max_length=20, description="also the IC of predictions made so long ago (dates)"
    )
    # A day, a week, a month: over which holding time a score tells most, whatever it was trained for.
    decay_horizons: tuple[Lag, ...] = Field(
        default=(1, 2, 5, 10, 20), max_length=20, description="also the IC with what is earned over so long (periods)"
    )
    # One more pass of prediction, over train, a fold: worth it when a model is doubted, too dear for every run.
    in_sample: bool = Field(
        default=False, description="also judge each model on all of its own train segment, beside its test segment"
    )
    # False: an IC compares the names of a date; where each entity has a scale of its own (rivers), its own errors tell.
    by_entity: bool = Field(
        default=False, description="also the errors of each entity over time: Nash-Sutcliffe and Kling-Gupta efficiency"
    )
    group: str | None = Field(
        default=None, description=f"static attribute: also IC and Rank IC in each of its groups, {MAX_GROUPS} at most"
    )


class TablesConfig(EvaluateConfig):
    """Predictions that are not ours, with their target beside them or in a second table."""

    predictions: tuple[str, ...] = Field(min_length=1, description="files, folders or globs")
    entity: str | None = Field(default=None, description="column that names the entity; a usual name where missing")
    time: str | None = Field(default=None, description="column with the time; a usual name where missing")
    prediction: str | None = Field(default=None, description="column with the score; a usual name where missing")
    target: str | None = Field(default=None, description="column of the predictions with what they predict")
    returns: tuple[str, ...] = Field(default=(), description="instead: files, folders or globs with the target")
    return_column: str | None = Field(default=None, description="its column; a usual name where missing")
    returns_entity: str | None = Field(default=None, description="entity column of the returns, where it differs")
    returns_time: str | None = Field(default=None, description="time column of the returns, where it differs")
    # False: an IC compares the names of a date; where each entity has a scale of its own (rivers), its own errors tell.
    by_entity: bool = Field(
        default=False, description="also the errors of each entity over time: Nash-Sutcliffe and Kling-Gupta efficiency"
    )
    group: str | None = Field(
        default=None,
        description=f"column of the predictions: also IC and Rank IC in each of its {MAX_GROUPS} groups at most",
    )
    # One period is the usual daily target; a longer one must be said, or its t would flatter.
    horizon_periods: int = Field(default=1, ge=1, description="how far the target looks ahead (periods)")
    duplicates: Literal["error", "first", "last"] = Field(default="error", description="repeated keys of the returns")
    prediction_duplicates: Literal["error", "first", "last"] = Field(
        default="error", description="repeated keys of the predictions"
    )
    time_format: str | None = Field(default=None, description="strptime format, iso or step; inferred where missing")
    returns_time_format: str | None = Field(default=None, description="the same of the returns")

    @model_validator(mode="after")
    def _has_one_target(self) -> "TablesConfig":
        if self.target is not None and self.returns:
            raise ValueError("give a target column, or a table of returns: not both")
        return self
