"""What a portfolio backtest may choose. Money has no hidden defaults: costs, delay and prices must be written."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from seawall.backtest.rules import Benchmark, Delisting, MarketRule, Participation, Rate
from seawall.backtest.strategies import QuantileLongShort, Strategy, StrategyConfig, Strict, TopK, is_long_only

__all__ = ["STAGE_VERSION", "BacktestConfig", "QuantileLongShort", "TopK"]

STAGE_VERSION: int = 4
"""Raised when what the stage writes changes for the same inputs."""

PriceName = Annotated[str, Field(min_length=1, max_length=10_000)]


class BacktestConfig(Strict):
    """The backtest stage: market conventions shared by all strategies, and the strategies."""

    strategies: tuple[StrategyConfig, ...] = Field(min_length=1)
    delay_periods: int = Field(description="calendar dates from decision to trade, at least 1")
    trade_price: PriceName = Field(description="price column orders are filled at")
    mark_price: PriceName = Field(
        description="price column positions are valued at; not earlier in the period than trade_price"
    )
    cost_bps: Rate = Field(
        description="commission and fees, 1/10,000 of the notional: one number for each side, or {buy, sell}"
    )
    slippage_bps: Rate = Field(description="slippage, 1/10,000 of the notional: one number, or {buy, sell}")
    minimum_fee: float = Field(ge=0, description="least commission per trade, in the currency of initial_equity")
    # None is refused where a strategy sells short: that shares are lent for nothing must be written, as 0.
    borrow_bps_per_year: float | None = Field(
        default=None, ge=0, description="fee for shares sold short, 1/10,000 of their value a year, paid each date"
    )
    markets: tuple[MarketRule, ...] = Field(default=(), description="rules of some entities that differ from these")
    # None: no limit is known, and a name trades at any price.
    limit_move: float | None = Field(
        default=None,
        gt=0,
        description="daily limit as a fraction of the last mark: at or beyond it nothing is bought, below nothing sold",
    )
    participation: Participation | None = Field(default=None, description="cap on the share of the market's volume")
    # None: the last mark is carried, and such positions are counted.
    delisting: Delisting | None = Field(default=None, description="what a name is worth that has stopped trading")
    # None: what the panel knows; where it knows of none, the adjustment holds all that happens to a share.
    dividend: PriceName | None = Field(
        default=None,
        description="price or value column with the cash a share held over the date before is paid, in place of the"
        " panel's dividends",
    )
    benchmark: Benchmark | None = Field(default=None, description="what alpha, beta and excess are measured against")
    # None: the rules of this page.
    convention: Literal["qlib"] | None = Field(
        default=None, description="qlib: limits block both sides, and Qlib's risk_analysis is reported as well"
    )
    periods_per_year: float = Field(gt=0, description="calendar dates per year, for annualisation")
    # geometric: what the money did; arithmetic is what a mean-variance comparison wants
    compounding: Literal["geometric", "arithmetic"] = Field(
        default="geometric", description="annual_return from the growth of equity, or from the mean period return"
    )
    # trade_dates: between trades units are held, so these say all; every_date writes a row a name held and date.
    positions: Literal["trade_dates", "every_date"] = Field(
        default="trade_dates",
        description="dates positions.parquet tells of, beside the last: those that traded, or all",
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
    def _names_differ(cls, value: Sequence[Strategy]) -> Sequence[Strategy]:
        # Compared without case: two folders that differ only in case are one folder on some file systems.
        names = [strategy.name.casefold() for strategy in value]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two strategies may not share a name: {', '.join(doubled)}")
        return value

    @model_validator(mode="after")
    def _borrows_at_a_price(self) -> "BacktestConfig":
        short = [strategy.name for strategy in self.strategies if not is_long_only(strategy)]
        if short and self.borrow_bps_per_year is None:
            raise ValueError(
                f"borrow_bps_per_year: {short[0]} sells short; write what borrowing costs a year, 0 where it is free"
            )
        return self
