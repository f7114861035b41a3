"""Which features are made by comparing the names of one date."""

from typing import Literal

from pydantic import Field, model_validator

from seawall.ingest.strict import Name, Strict

KINDS = ("rank", "zscore", "demean", "winsorise")


class CrossSection(Strict):
    """A feature compared with that of the other names at the same time: one of rank, zscore, demean, winsorise."""

    rank: Name | None = Field(default=None, description="feature; its average rank by the number of names, in (0, 1]")
    zscore: Name | None = Field(default=None, description="feature; less the mean, by the standard deviation (ddof 1)")
    demean: Name | None = Field(default=None, description="feature; less the mean")
    winsorise: Name | None = Field(default=None, description="feature; held within the quantiles of limits")
    # 1 % a side: the usual choice of the literature, two names of a hundred are moved
    limits: tuple[float, float] = Field(default=(0.01, 0.99), description="quantiles (linear) winsorise holds within")
    group: Name | None = Field(
        default=None, description="feature or static attribute; names are compared within equal values of it"
    )
    within: Literal["universe", "all"] = Field(
        default="universe", description="rows compared with one another; the others are missing"
    )
    min_names: int = Field(default=10, ge=2, description="fewest names (of a group) that give a value")
    # 10: as for the IC of a date, see evaluate.min_names

    @model_validator(mode="after")
    def _is_one_of_four(self) -> "CrossSection":
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError(f"name exactly one of {', '.join(KINDS)}")
        if not 0 <= self.limits[0] < self.limits[1] <= 1:
            raise ValueError("limits are two quantiles between 0 and 1, the lower one first")
        return self

    @property
    def kind(self) -> str:
        """Which of the four it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def text(self) -> str:
        """The rule in one line, for the manifest."""
        within = f" by {self.group}" if self.group else ""
        return f"{self.kind} of {self.feature}{within}, within {self.within}, at least {self.min_names} names"

    @property
    def feature(self) -> str:
        """The feature that is compared."""
        return str(getattr(self, self.kind))
