"""The rules each entity trades under: rates by side, the least fee, and the daily limit, one number an entity."""

from fnmatch import fnmatchcase

import numpy as np

from seawall.arrays import Bool, Float64, Int64
from seawall.backtest.config import BacktestConfig
from seawall.backtest.rules import MarketRule, sides_of
from seawall.errors import ConfigError, nearest
from seawall.stores.panel import Panel


class Costs:
    """What a trade costs, paid from cash when it is made. Memory is 48 bytes an entity.

    A buy or sell of notional n pays ``max(rate x n, minimum fee) + slippage x n``, with the rates of its side and of
    its entity.
    """

    def __init__(self, config: BacktestConfig, num_entities: int) -> None:
        self.fee_SE, self.slippage_SE = (np.empty((2, num_entities)) for _ in range(2))
        self.minimum_E: Float64 = np.full(num_entities, config.minimum_fee)
        self.limit_E: Float64 = np.full(num_entities, np.inf if config.limit_move is None else config.limit_move)
        self.fee_SE[:] = np.array(sides_of(config.cost_bps))[:, None]
        self.slippage_SE[:] = np.array(sides_of(config.slippage_bps))[:, None]

    def __call__(self, entities: Int64, notional: Float64) -> Float64:
        """Give each trade's cost; a negative notional is a sell."""
        side, size = (notional < 0).astype(np.int64), np.abs(notional)
        fee = np.maximum(self.fee_SE[side, entities] * size, self.minimum_E[entities])
        paid: Float64 = fee + self.slippage_SE[side, entities] * size
        return paid

    @property
    def has_limits(self) -> bool:
        """Tell whether any entity has a daily limit."""
        return bool(np.isfinite(self.limit_E).any())

    def apply(self, rule: MarketRule, entities: Bool) -> None:
        """Put a rule in force for some entities."""
        if rule.cost_bps is not None:
            self.fee_SE[:, entities] = np.array(sides_of(rule.cost_bps))[:, None]
        if rule.slippage_bps is not None:
            self.slippage_SE[:, entities] = np.array(sides_of(rule.slippage_bps))[:, None]
        if rule.minimum_fee is not None:
            self.minimum_E[entities] = rule.minimum_fee
        if rule.limit_move is not None:
            self.limit_E[entities] = rule.limit_move


def costs_of(config: BacktestConfig, panel: Panel) -> Costs:
    """Work out the rules of every entity: the general ones, or those of the first market rule that fits it.

    Raises
    ------
    ConfigError
        For a rule that fits no entity, or an attribute the panel has not.
    """
    names = panel.entities
    costs, free = Costs(config, len(names)), np.ones(len(names), bool)
    for number, rule in enumerate(config.markets):
        fits = np.zeros(len(names), bool)
        if rule.entities is not None:
            fits[:] = [fnmatchcase(name, rule.entities) for name in names]
        elif rule.attribute is not None:
            fits[:] = [value == rule.equals for value in attribute_texts(panel, rule.attribute, "backtest.markets")]
        if not fits.any():
            found = rule.entities or f"{rule.attribute} = {rule.equals}"
            raise ConfigError(f"backtest.markets.{number}", "fits no entity of the panel", found=found)
        costs.apply(rule, fits & free)
        free &= ~fits
    return costs


def attribute_texts(panel: Panel, name: str, where: str) -> list[str]:
    """Give a static attribute of every entity as text, empty where it is missing.

    Raises
    ------
    ConfigError
        For an unknown attribute, naming the nearest.
    """
    table = panel.attributes
    known = [column for column in table.schema.names if column != "entity"]
    if name not in known:
        raise ConfigError(where, "the panel has no such static attribute", found=repr(name), do=nearest(name, known))
    return ["" if value is None else str(value) for value in table.column(name).to_pylist()]
