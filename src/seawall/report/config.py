"""What the report may be told: nothing here changes a number in it."""

from pydantic import BaseModel, ConfigDict, Field

STAGE_VERSION: int = 1
"""Raised only when the files of this stage change for the same input."""


class ReportConfig(BaseModel):
    """The report stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str | None = Field(
        default=None, max_length=200, description="heading of the page; the name of the run when missing"
    )
    # None: the name of the run is what its owner already calls it
