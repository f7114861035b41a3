"""What is predicted, and when it is known."""

from pydantic import Field, model_validator

from seawall.ingest.strict import Name, Strict


class ForwardReturn(Strict):
    """Return of the adjusted price from row t + delay to row t + delay + horizon of the same entity."""

    column: Name = Field(description="price column the return is taken from")
    horizon_periods: int = Field(ge=1, description="rows between buying and selling")
    # 1: a decision that uses the close of t can trade at t + 1 at the earliest
    delay_periods: int = Field(default=1, ge=0, description="rows between the decision and buying")
    log: bool = Field(default=False, description="ln(sell / buy) in place of sell / buy - 1")


class OwnColumn(Strict):
    """A target that the source brings; when it is known must be declared, or it would leak into training."""

    name: Name = Field(description="number column of the source")
    horizon_periods: int = Field(ge=1, description="rows of the entity after which the value is known")
    delay_periods: int = Field(default=0, ge=0, description="rows before the horizon begins")


class OwnExpression(Strict):
    """A target in SQL, which may look ahead as far as it declares; the data must agree."""

    sql: str = Field(min_length=1, description="expression over the entity's rows; lead and FOLLOWING are allowed")
    horizon_periods: int = Field(ge=1, description="rows of the entity after which the value is known")
    delay_periods: int = Field(default=0, ge=0, description="rows before the horizon begins")


class Target(Strict):
    """A target column: one of forward_return, column, expression; then scaled, made neutral, cut to its sign."""

    forward_return: ForwardReturn | None = None
    column: OwnColumn | None = None
    expression: OwnExpression | None = None
    volatility_periods: int | None = Field(
        default=None,
        ge=2,
        description="divide by the deviation of this many past one-row log returns, times the root of the horizon",
    )
    market_neutral: bool = Field(
        default=False,
        description="less the mean of the date's universe, over names that are known delay + horizon dates later",
    )
    min_names: int = Field(default=10, ge=2, description="fewest names of a date that give a market mean")
    sign: bool = Field(default=False, description="-1, 0 or 1, for classification")

    @model_validator(mode="after")
    def _is_one_of_three(self) -> "Target":
        given = [self.forward_return, self.column, self.expression]
        if sum(part is not None for part in given) != 1:
            raise ValueError("name exactly one of forward_return, column, expression")
        if self.volatility_periods is not None and self.forward_return is None:
            raise ValueError("volatility_periods needs a forward_return, whose price column has a volatility")
        return self

    @property
    def declared(self) -> ForwardReturn | OwnColumn | OwnExpression:
        """What says when the target is known."""
        found = self.forward_return or self.column or self.expression
        if found is None:
            raise ValueError("a target without a definition")
        return found

    @property
    def end_periods(self) -> int:
        """Rows of the entity after which the target is known."""
        return self.declared.delay_periods + self.declared.horizon_periods

    @property
    def source(self) -> str:
        """The column the target is made from; empty for an expression."""
        if self.forward_return is not None:
            return self.forward_return.column
        return self.column.name if self.column is not None else ""

    @property
    def kind(self) -> str:
        """One word for what the numbers are."""
        if self.sign:
            return "direction"
        if self.forward_return is None:
            return "column" if self.column is not None else "expression"
        if self.volatility_periods is not None:
            return "scaled_return"
        if self.market_neutral:
            return "excess_return"
        return "forward_log_return" if self.forward_return.log else "forward_return"
