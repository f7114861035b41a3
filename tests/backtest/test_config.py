"""What a backtest config refuses, and why it says so."""

from typing import Any

import pytest
from pydantic import ValidationError

from seawall.backtest.config import BacktestConfig, QuantileLongShort, TopK
from tests.backtest.world import LONG_SHORT, TOP_2, config_of

MONEY = [
    "delay_periods",
    "trade_price",
    "mark_price",
    "cost_bps",
    "slippage_bps",
    "minimum_fee",
    "periods_per_year",
    "strategies",
]


def test_kinds_are_told_apart_by_kind() -> None:
    config = config_of(TOP_2, LONG_SHORT)

    assert isinstance(config.strategies[0], TopK)
    assert isinstance(config.strategies[1], QuantileLongShort)


@pytest.mark.parametrize("name", MONEY)
def test_money_has_no_hidden_defaults(name: str) -> None:
    values = config_of().model_dump()
    del values[name]

    with pytest.raises(ValidationError, match=rf"(?s)1 validation error.*{name}\s+Field required"):
        BacktestConfig.model_validate(values)


@pytest.mark.parametrize("delay", [0, -1])
def test_a_delay_below_one_is_refused_with_the_reason(delay: int) -> None:
    with pytest.raises(ValidationError, match="at least 1: the prediction of a date uses that date's prices"):
        config_of(delay_periods=delay)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../up"},
        {"name": "a.b"},
        {"name": "x\n"},
        {"name": ""},
        {"k": 0},
        {"rebalance_periods": 0},
        {"gross_exposure": 1.5},
        {"gross_exposure": float("nan")},
        {"kind": "momentum"},
        {"leverage": 2},
    ],
)
def test_a_strategy_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="strategies"):
        config_of({**TOP_2, **changes})


def test_two_strategies_may_not_share_a_folder() -> None:
    with pytest.raises(ValidationError, match="share a name: top"):
        config_of(TOP_2, {**LONG_SHORT, "name": "TOP"})
