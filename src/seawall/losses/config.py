"""Which loss a model is trained on."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field


class _Loss(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    by_date: ClassVar[bool] = False
    """Compares the names of one date: each step must be one whole date."""
    needs_spread: ClassVar[bool] = False
    """Has no gradient where all predictions are alike."""


class MseConfig(_Loss):
    """Squared error: predicts the mean."""

    kind: Literal["mse"] = "mse"


class HuberConfig(_Loss):
    """Squared error near zero, absolute error beyond ``delta_sigmas``: one wild return cannot steer a step."""

    kind: Literal["huber"] = "huber"
    # 1.0: one standard deviation of the target, where daily returns start to be heavier than normal.
    delta_sigmas: float = Field(default=1.0, gt=0, description="where it turns linear, in target standard deviations")


class _DateLoss(_Loss):
    by_date: ClassVar[bool] = True

    # 5: below it the order of a date's names is mostly chance, and so is the direction such a step takes.
    min_names: int = Field(default=5, ge=2, description="fewest names of a date that count (names)")


class CccConfig(_DateLoss):
    """1 - concordance correlation within a date: as IC, but scale and level of the prediction must be right too."""

    kind: Literal["ccc"] = "ccc"


class IcConfig(_DateLoss):
    """1 - IC: the correlation with the target within a date. It leaves scale and level of the prediction free."""

    needs_spread: ClassVar[bool] = True
    kind: Literal["ic"] = "ic"


class PairwiseRankConfig(_DateLoss):
    """Logistic loss over all pairs of a date whose targets differ: the better one should have the higher score."""

    kind: Literal["pairwise_rank"] = "pairwise_rank"


class ListwiseRankConfig(_DateLoss):
    """Cross entropy of a date's softmax of scores to its softmax of targets: the best names count most."""

    kind: Literal["listwise_rank"] = "listwise_rank"
    # 1.0: a name one standard deviation better is to be picked e times as often.
    temperature_sigmas: float = Field(
        default=1.0, gt=0, description="target standard deviations that make a name e times as likely to be the best"
    )


class RiskConfig(_DateLoss):
    """Squared return of the date's long-short portfolio that holds each name as far as its score is off the mean."""

    needs_spread: ClassVar[bool] = True
    kind: Literal["risk"] = "risk"
    # downside: a penalty on gains as well would push against the very thing the other terms seek.
    side: Literal["downside", "both"] = Field(default="downside", description="whether gains are penalised as well")


PlainLoss: TypeAlias = (
    MseConfig | HuberConfig | CccConfig | IcConfig | PairwiseRankConfig | ListwiseRankConfig | RiskConfig
)


class _Term(BaseModel):
    # None: the config has one target, or the first is meant.
    target: str | None = Field(default=None, description="target of this term; the first one where missing")
    # 1.0: terms are of the order of one; what matters more is told by its weight.
    weight: float = Field(default=1.0, ge=0, description="factor of the term in the sum")
    # None: no goal; a term pushes for ever.
    ic_goal: float | None = Field(
        default=None, gt=-1, le=1, description="IC of a date at and beyond which the term does not push on that date"
    )


class MseTerm(MseConfig, _Term):
    """Squared error of one target."""


class HuberTerm(HuberConfig, _Term):
    """Huber loss of one target."""


class CccTerm(CccConfig, _Term):
    """Concordance of one target."""


class IcTerm(IcConfig, _Term):
    """IC of one target."""


class PairwiseRankTerm(PairwiseRankConfig, _Term):
    """Order of pairs by one target."""


class ListwiseRankTerm(ListwiseRankConfig, _Term):
    """Order of a date by one target."""


class RiskTerm(RiskConfig, _Term):
    """Risk of the portfolio of one target."""


AnyTerm: TypeAlias = MseTerm | HuberTerm | CccTerm | IcTerm | PairwiseRankTerm | ListwiseRankTerm | RiskTerm
TermConfig = Annotated[AnyTerm, Field(discriminator="kind")]


class SumConfig(BaseModel):
    """Weighted sum of losses, each of one target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sum"] = "sum"
    terms: tuple[TermConfig, ...] = Field(min_length=1, max_length=64, description="what is added up")

    @property
    def by_date(self) -> bool:
        """Whether any term compares the names of one date."""
        return any(term.by_date or term.ic_goal is not None for term in self.terms)

    @property
    def needs_spread(self) -> bool:
        """Whether any term has no gradient where all predictions are alike."""
        return any(term.needs_spread for term in self.terms)


AnyLoss: TypeAlias = PlainLoss | SumConfig
LossConfig = Annotated[AnyLoss, Field(discriminator="kind")]

DATE_LOSSES = ("ccc", "ic", "pairwise_rank", "listwise_rank", "risk")
"""Kinds that compare the names of one date."""
