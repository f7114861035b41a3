"""Choices of join."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

STAGE_VERSION: int = 2
"""Raised when what the stage writes changes for the same inputs."""

OUTSIDE_VERSION: int = 1
"""The same of the predictions taken from outside."""


class JoinConfig(BaseModel):
    """What the backtest table carries beside predictions and forward returns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # None: the first of several targets; a backtest trades the predictions of one.
    target: str | None = Field(
        default=None, description="of several targets, the one whose predictions are traded; the first where missing"
    )
    # All of them: which price a strategy will trade at is chosen after the join.
    prices: tuple[str, ...] = Field(default=(), description="price columns of the panel to carry; none named means all")


class TablesConfig(BaseModel):
    """A join of two tables that are not ours: somebody's predictions and somebody's returns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    predictions: tuple[str, ...] = Field(min_length=1, description="files, folders or globs")
    returns: tuple[str, ...] = Field(min_length=1, description="files, folders or globs")
    entity: str = Field(min_length=1, description="column that names the entity, of both sides")
    time: str = Field(min_length=1, description="column with the time, of both sides")
    returns_entity: str | None = Field(default=None, description="the same of the returns, where it differs")
    returns_time: str | None = Field(default=None, description="the same of the returns, where it differs")
    prediction: str | None = Field(default=None, description="column with the score; a usual name where missing")
    return_column: str | None = Field(
        default=None, description="y_ret_10d, forward_return, target ... where missing, else the only number column"
    )
    columns: tuple[str, ...] = Field(default=(), description="more columns of the returns to carry, such as prices")
    # A key that stands twice has two returns, and which one is right only its owner knows.
    duplicates: Literal["error", "first", "last"] = Field(default="error", description="repeated keys of the returns")
    prediction_duplicates: Literal["error", "first", "last"] = Field(
        default="error", description="repeated keys of the predictions"
    )
    time_format: str | None = Field(default=None, description="strptime format, iso or step; inferred where missing")
    returns_time_format: str | None = Field(default=None, description="the same of the returns")


class PredictionsConfig(BaseModel):
    """Scores made elsewhere, taken into a run in place of training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: tuple[str, ...] = Field(min_length=1, description="files, folders or globs of Parquet or CSV tables")
    entity: str = Field(min_length=1, description="column that names the entity")
    time: str = Field(min_length=1, description="column with the time; of UTC where it has no zone")
    prediction: str | None = Field(default=None, description="column with the score; a usual name where missing")
    target: str | None = Field(
        default=None, description="target of the panel the scores are judged by; its first where missing"
    )
    # A key that stands twice has two scores, and which one was meant only its owner knows.
    duplicates: Literal["error", "first", "last"] = Field(default="error", description="repeated (time, entity)")
    time_format: str | None = Field(default=None, description="strptime format, iso or step; inferred where missing")
