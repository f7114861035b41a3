"""Which feature sets to compute, and which columns are their bars."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from seawall.ingest.feature_sets.catalogue import SETS
from seawall.ingest.strict import Name, Strict


class FeatureSet(Strict):
    """A named set of features over bars; prices are divided by the adjustment, the volume multiplied by it."""

    name: Literal["bars_basic", "alpha158"] = Field(description="see docs/guide/features.md")
    open: Name = "open"
    high: Name = "high"
    low: Name = "low"
    close: Name = "close"
    volume: Name = Field(default="volume", description="shares or money traded in the bar")
    vwap: Name | None = Field(
        default="vwap", description="average price of the bar, read by alpha158; null leaves VWAP0 out"
    )
    prefix: str = Field(default="", max_length=100, description="put before each feature's name")
    align: Literal["rows", "calendar"] | None = Field(
        default=None,
        description="what a window counts: the entity's own rows, or all dates of the calendar, missing ones as NaN;"
        " null is calendar for alpha158, as Qlib does, and rows for bars_basic",
    )
    volume_in: Literal["shares", "money"] = Field(
        default="shares", description="money does not change with a split, so it is not adjusted"
    )

    @property
    def roles(self) -> dict[str, str]:
        """Source column of each role the set reads."""
        named = {role: getattr(self, role) for role in SETS[self.name].columns}
        return {role: column for role, column in named.items() if column is not None}

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in the order they are stored."""
        return tuple(self.prefix + name for name in SETS[self.name].names(tuple(self.roles)))

    @property
    def counts_dates(self) -> bool:
        """True where windows count dates of the calendar."""
        return (self.align or SETS[self.name].align) == "calendar"


def _named(value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    return {"name": value} if isinstance(value, str) else value


NamedSet = Annotated[FeatureSet, BeforeValidator(_named)]
"""A feature set, or its bare name where all columns have the usual names."""
