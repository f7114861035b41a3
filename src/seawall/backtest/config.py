"""What a portfolio backtest may choose. Money has no hidden defaults: costs, delay and prices must be written."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

STAGE_VERSION: int = 1
"""Raised when what the stage writes changes for the same inputs."""

PriceName = Annotated[str, Field(min_length=1, max_length=10_000)]


class _Strategy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$", description="folder of the results: letters, digits, _ and -"
    )
    rebalance_periods: int = Field(
        ge=1, description="calendar dates from one decision to the next, counted from the first date of predictions"
    )


class TopK(_Strategy):
    """Long only: equal weights on the k names with the highest prediction."""

    kind: Literal["top_k"] = "top_k"
    k: int = Field(ge=1, description="number of names; each weighs gross_exposure / k, also where fewer are eligible")
    # 1.0: fully invested; a long-only portfolio here never borrows, so more than 1 is refused
    gross_exposure: float = Field(default=1.0, gt=0, le=1, description="sum of weights, as a fraction of equity")


class QuantileLongShort(_Strategy):
    """Dollar neutral: equal weights, long the quantile with the highest predictions and short the lowest."""

    kind: Literal["quantile_long_short"] = "quantile_long_short"
    num_quantiles: int = Field(ge=2, description="each side holds floor(eligible names / num_quantiles) names")
    # 1.0: one unit of positions per unit of equity, half long and half short, comparable with a fully invested top_k
    gross_exposure: float = Field(default=1.0, gt=0, description="sum of absolute weights, as a fraction of equity")


StrategyConfig = Annotated[TopK | QuantileLongShort, Field(discriminator="kind")]


class BacktestConfig(BaseModel):
    """The backtest stage: market conventions shared by all strategies, and the strategies."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    strategies: tuple[StrategyConfig, ...] = Field(min_length=1)
    delay_periods: int = Field(description="calendar dates from decision to trade, at least 1")
    trade_price: PriceName = Field(description="price column orders are filled at")
    mark_price: PriceName = Field(
        description="price column positions are valued at; not earlier in the period than trade_price"
    )
    cost_bps: float = Field(ge=0, lt=10_000, description="commission and fees per side, 1/10,000 of the notional")
    slippage_bps: float = Field(ge=0, lt=10_000, description="slippage per side, 1/10,000 of the notional")
    minimum_fee: float = Field(ge=0, description="least commission per trade, in the currency of initial_equity")
    periods_per_year: float = Field(gt=0, description="calendar dates per year, for annualisation")
    # geometric: what the money did; arithmetic is what a mean-variance comparison wants
    compounding: Literal["geometric", "arithmetic"] = Field(
        default="geometric", description="annual_return from the growth of equity, or from the mean period return"
    )
    # 1.0: everything is relative to it; another value only scales the ledger and gives minimum_fee its weight
    initial_equity: float = Field(default=1.0, gt=0, description="money at the start, in the currency of the prices")

    @field_validator("delay_periods")
    @classmethod
    def _trades_after_deciding(cls, value: int) -> int:
        if value < 1:
            raise ValueError(
                "must be at least 1: the prediction of a date uses that date's prices, "
                "so an order can be filled on the next date at the earliest"
            )
        return value

    @field_validator("strategies")
    @classmethod
    def _names_differ(cls, value: Sequence[_Strategy]) -> Sequence[_Strategy]:
        # Compared without case: two folders that differ only in case are one folder on some file systems.
        names = [strategy.name.casefold() for strategy in value]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two strategies may not share a name: {', '.join(doubled)}")
        return value
