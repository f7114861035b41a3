"""The kinds of strategy a backtest can run, as choices: which names, at which weights, and how often."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    """Frozen, without unknown keys, infinities or NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class VolatilityScaling(Strict):
    """Weights divided by each name's own volatility, so that a wild name does not decide the result."""

    half_life_periods: float = Field(gt=0, description="of the exponential mean of squared period returns")
    min_periods: int = Field(ge=2, description="returns a name needs before it may be held")


class Strategy(Strict):
    """What every strategy chooses."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$", description="folder of the results: letters, digits, _ and -"
    )
    rebalance_periods: int | None = Field(
        default=None,
        ge=1,
        description="calendar dates from one decision to the next, counted from the first date of predictions",
    )
    rebalance: Literal["weekly", "monthly"] | None = Field(
        default=None, description="decide on the first date of each ISO week or month, in place of rebalance_periods"
    )
    # None: no cap; what a cap cuts off stays in cash and is not given to other names.
    max_weight: float | None = Field(default=None, gt=0, description="largest absolute weight of one name")
    max_turnover: float | None = Field(
        default=None, gt=0, description="largest traded notional of one rebalance, buys plus sells, in equity"
    )

    @model_validator(mode="after")
    def _has_one_calendar(self) -> "Strategy":
        if (self.rebalance_periods is None) == (self.rebalance is None):
            raise ValueError("choose one of rebalance_periods and rebalance")
        return self


NEUTRAL_WITHIN = Field(
    default=None,
    description="static attribute, or value column as it is on the decision date, such as sector: long and short are"
    " equal within each of its groups",
)


class Weighted(Strategy):
    """A strategy that names weights, which volatility may scale."""

    volatility_scaling: VolatilityScaling | None = None


class TopK(Weighted):
    """Long only: equal weights on the k names with the highest prediction."""

    kind: Literal["top_k"] = "top_k"
    k: int = Field(ge=1, description="number of names; each weighs gross_exposure / k, also where fewer are eligible")
    # 1.0: fully invested; a long-only portfolio here never borrows, so more than 1 is refused
    gross_exposure: float = Field(default=1.0, gt=0, le=1, description="sum of weights, as a fraction of equity")


class TopKDropout(Strategy):
    """Long only: k names, of which the worst n_drop make room at each rebalance; names kept are not resized."""

    kind: Literal["top_k_dropout"] = "top_k_dropout"
    k: int = Field(ge=1, description="number of names")
    n_drop: int = Field(ge=1, description="most names replaced at one rebalance")
    # No default: it is how much of the cash is spent, and Qlib's 0.95 surprises who does not know it.
    gross_exposure: float = Field(gt=0, le=1, description="share of cash spent on buys, in equal parts; Qlib: 0.95")

    @model_validator(mode="after")
    def _drops_no_more_than_it_holds(self) -> "TopKDropout":
        if self.n_drop > self.k:
            raise ValueError("n_drop: no more than k names can be dropped")
        return self


class QuantileLongShort(Weighted):
    """Dollar neutral: equal weights, long the quantile with the highest predictions and short the lowest."""

    kind: Literal["quantile_long_short"] = "quantile_long_short"
    num_quantiles: int = Field(ge=2, description="each side holds floor(eligible names / num_quantiles) names")
    # 1.0: one unit of positions per unit of equity, half long and half short, comparable with a fully invested top_k
    gross_exposure: float = Field(default=1.0, gt=0, description="sum of absolute weights, as a fraction of equity")
    neutral_within: str | None = NEUTRAL_WITHIN


class _AllNames(Weighted):
    side: Literal["long_short", "long_only"] = Field(description="dollar neutral, or never short")
    # 1.0: as for the other kinds
    gross_exposure: float = Field(default=1.0, gt=0, description="sum of absolute weights, as a fraction of equity")
    neutral_within: str | None = NEUTRAL_WITHIN

    @model_validator(mode="after")
    def _can_be_done(self) -> "_AllNames":
        if self.side == "long_only" and self.gross_exposure > 1:
            raise ValueError("gross_exposure: a long-only portfolio never borrows, so at most 1")
        if self.side == "long_only" and self.neutral_within is not None:
            raise ValueError("neutral_within: only a long_short portfolio can be neutral")
        return self


class RankWeighted(_AllNames):
    """Every name, weighed by the rank of its prediction: less the mean rank, or the rank itself where long only."""

    kind: Literal["rank_weighted"] = "rank_weighted"


class ScoreWeighted(_AllNames):
    """Every name, weighed by its prediction: less the mean, or where long only the positive predictions."""

    kind: Literal["score_weighted"] = "score_weighted"


AnyStrategy = TopK | TopKDropout | QuantileLongShort | RankWeighted | ScoreWeighted

StrategyConfig = Annotated[AnyStrategy, Field(discriminator="kind")]


def is_long_only(strategy: AnyStrategy) -> bool:
    """Tell whether a strategy never sells short and never borrows."""
    if isinstance(strategy, RankWeighted | ScoreWeighted):
        return strategy.side == "long_only"
    return not isinstance(strategy, QuantileLongShort)


def volatility_of(strategy: AnyStrategy) -> VolatilityScaling | None:
    """Give how a strategy scales by volatility, if it does."""
    return None if isinstance(strategy, TopKDropout) else strategy.volatility_scaling


def group_of(strategy: AnyStrategy) -> str | None:
    """Give the attribute or value column a strategy is neutral within, if it is."""
    return None if isinstance(strategy, TopK | TopKDropout) else strategy.neutral_within
