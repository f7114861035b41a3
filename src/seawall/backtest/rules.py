"""Rules of the markets traded on, as choices: what trading costs, what cannot be traded, and what becomes of a name."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seawall.backtest.strategies import Strict

Bps = Annotated[float, Field(ge=0, lt=10_000)]


class Sides(Strict):
    """A rate that differs between buying and selling, in 1/10,000 of the notional."""

    buy: Bps = Field(description="1/10,000 of what is bought")
    sell: Bps = Field(description="1/10,000 of what is sold; a stamp duty belongs here")


Rate = Bps | Sides


def sides_of(rate: float | Sides) -> tuple[float, float]:
    """Give the buy and the sell rate as fractions."""
    both = (rate.buy, rate.sell) if isinstance(rate, Sides) else (rate, rate)
    return both[0] / 10_000, both[1] / 10_000


class MarketRule(Strict):
    """Rules of some entities that differ from the general ones; the first rule that fits an entity holds."""

    entities: str | None = Field(default=None, description="pattern of names with * and ?, such as '688*'")
    attribute: str | None = Field(default=None, description="static attribute to look at")
    equals: str | None = Field(default=None, description="value of the attribute, as text")
    cost_bps: Rate | None = Field(default=None, description="in place of cost_bps")
    slippage_bps: Rate | None = Field(default=None, description="in place of slippage_bps")
    minimum_fee: float | None = Field(default=None, ge=0, description="in place of minimum_fee")
    limit_move: float | None = Field(default=None, gt=0, description="in place of limit_move, such as 0.2")

    @model_validator(mode="after")
    def _says_whom(self) -> "MarketRule":
        if (self.entities is None) == (self.attribute is None):
            raise ValueError("say whom: by entities or by attribute")
        if (self.attribute is None) != (self.equals is None):
            raise ValueError("attribute and equals belong together")
        return self


class Participation(Strict):
    """Trades no larger than a share of what the market traded on the date of the trade."""

    column: str = Field(description="price or value column of the panel with the traded volume")
    unit: Literal["shares", "money"] = Field(description="what the column counts: shares, or their price")
    max_share: float = Field(gt=0, le=1, description="of the volume; what is more is not filled, and not sent later")


class Delisting(Strict):
    """What a held name is worth that has stopped trading."""

    stale_periods: int = Field(ge=1, description="calendar dates without any price after which it counts as delisted")
    loss_share: float = Field(ge=0, le=1, description="of its last mark that is lost: 0 pays the last price, 1 nothing")


class Benchmark(Strict):
    """What the strategies are measured against."""

    kind: Literal["entity", "equal_weighted"] = Field(
        description="an entity of the panel, or all names predicted on the date before, in equal weights, free of costs"
    )
    entity: str | None = Field(default=None, description="name of the entity")

    @model_validator(mode="after")
    def _names_its_entity(self) -> "Benchmark":
        if (self.kind == "entity") != (self.entity is not None):
            raise ValueError("kind entity needs the name of the entity, the other kind none")
        return self
