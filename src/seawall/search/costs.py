"""What a trade pays by reason, and the one expression of its net return that loop and tables share bit for bit."""

from dataclasses import dataclass
from typing import TypeVar

from seawall.arrays import Float64
from seawall.search.config import CostsConfig

BPS = 1e-4

Value = TypeVar("Value", float, Float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Fees and slippage as fractions of the notional at entry."""

    entry_slippage: float
    take_profit: float
    """Entry as taker and exit as maker."""
    stop: float
    """Entry and exit as taker, with stop slippage."""
    time: float
    """Entry and exit as taker, with market slippage."""
    penetration: float
    fills_gap_at_open: bool
    liquidation: float
    """Adverse distance at which a leveraged position is liquidated; infinite without leverage."""

    @classmethod
    def of(cls, config: CostsConfig) -> "Costs":
        """Convert basis points to fractions."""
        taker, maker = config.taker_fee_bps * BPS, config.maker_fee_bps * BPS
        borrowed = config.leverage is not None
        return cls(
            entry_slippage=config.entry_slippage_bps * BPS,
            take_profit=taker + maker,
            stop=taker + taker + config.stop_slippage_bps * BPS,
            time=taker + taker + config.market_slippage_bps * BPS,
            penetration=config.penetration_bps * BPS,
            fills_gap_at_open=config.take_profit_gap == "open",
            liquidation=1 / (config.leverage or 1.0) - config.maintenance_margin if borrowed else float("inf"),
        )


def net_return(side: float, exit_price: Value, entry_price: Value, cost: float, funding: Value) -> Value:
    """Compute the net return of a trade, a fraction of the notional at entry.

    Parameters
    ----------
    side
        1.0 long, -1.0 short.
    funding
        Funding rates from entry to exit, summed; a long position pays them.
    """
    return side * (exit_price / entry_price - 1.0) - cost - side * funding
