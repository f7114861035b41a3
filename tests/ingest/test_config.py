from typing import Any

import pytest
from pydantic import ValidationError

from seawall.ingest.config import IngestConfig
from tests.ingest.world import SETTINGS


def config(**changes: object) -> IngestConfig:
    return IngestConfig.model_validate({**SETTINGS, "sources": ("m.csv",), **changes})


def test_value_columns_are_prices_then_what_the_break_rule_reads_then_the_rest_each_once() -> None:
    adjustment = {"detect": True, "open": "o", "high": "h", "low": "l", "close": "close"}
    columns = config(prices=("close",), values=("volume", "h"), adjustment=adjustment, targets={}).value_columns
    assert columns == ("close", "o", "h", "l", "volume")
    assert config(prices=("close",), adjustment={}, targets={}).value_columns == ("close", "volume")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": ()}, "at least 1 item"),
        ({"typo": 1}, "Extra inputs are not permitted"),
        ({"prices": ("open",)}, r"targets\.fwd_3: column 'close' is not one of prices"),
        ({"values": ("__id",)}, "SQL cannot tell '__id' from '__id'"),
        ({"values": ("ADJUSTMENT",)}, "SQL cannot tell 'ADJUSTMENT' from 'adjustment'"),
        ({"values": ("adj_close",)}, "SQL cannot tell 'adj_close' from 'adj_close'"),
        ({"values": ("Close",)}, "SQL cannot tell 'Close' from 'close'"),
        ({"values": ("date",)}, "SQL cannot tell 'date' from 'date'"),
        ({"derived": {"volume": "1"}}, "SQL cannot tell 'volume' from 'volume'"),
        ({"entity": "date"}, "the entity column 'date' cannot be the time"),
        ({"values": ("symbol",)}, "the entity column 'symbol' cannot be the time or a number"),
        ({"max_bad_rows": -1}, "greater than or equal to 0"),
        ({"duplicates": "mean"}, "'error', 'first' or 'last'"),
        ({"adjustment": {"min_ratio": 1.0}}, "greater than 1"),
        ({"adjustment": {"declared": [{"entity": "A", "time": "2020-01-01", "factor": 0}]}}, "greater than 0"),
        (
            {"targets": {"y": {"forward_return": {"column": "close", "horizon_periods": 0}}}},
            "greater than or equal to 1",
        ),
        ({"targets": {"y": {"forward_return": {"column": "close"}}}}, "horizon_periods"),
        ({"features": {"": "close"}}, "at least 1 character"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**changes)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config(), "entity", "other")  # noqa: B010 - the type checker refuses it as well
