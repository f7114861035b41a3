"""A name that no column has is refused before a row is read, with what to add; names that are known pass."""

from pathlib import Path

import pytest

from seawall.errors import ConfigError
from seawall.ingest.config import IngestConfig
from seawall.ingest.lookahead import check_expressions
from tests.ingest.world import settings

NOWHERE = Path("there/is/no/such.csv")


def test_a_column_taken_as_a_feature_but_not_read_is_refused_with_what_to_add() -> None:
    bare = IngestConfig(sources=(str(NOWHERE),), entity="symbol", time="date", features={"f1": "f1"})

    with pytest.raises(ConfigError) as error:
        check_expressions(bare)

    told = str(error.value)
    assert told.startswith("ingest.features: f1: the expression names a column that is not read, found 'f1'")
    assert "add it to ingest.values: [f1]" in told
    check_expressions(bare.model_copy(update={"values": ("f1",)}))


@pytest.mark.parametrize(
    ("section", "text"),
    [("derived", "clos + 1"), ("universe", "clos > 1"), ("drop_rows", "clos > 1"), ("features", "2 * adj_clos")],
)
def test_a_misspelt_name_is_refused_wherever_it_stands_with_the_nearest_one(section: str, text: str) -> None:
    changes = {section: text if section == "universe" else {"wrong": text}}

    with pytest.raises(ConfigError, match=r"that is not read, found '(adj_)?clos'.*did you mean '(adj_)?close'"):
        check_expressions(settings(NOWHERE, **changes))


def test_a_target_that_names_no_column_is_refused() -> None:
    target = {"expression": {"sql": "lead(clse, 2) OVER entity", "horizon_periods": 2}}

    with pytest.raises(ConfigError, match=r"ingest\.targets: ahead: .* found 'clse'"):
        check_expressions(settings(NOWHERE, targets={"ahead": target}))


@pytest.mark.parametrize(
    "text",
    ["CLOSE", '"close"', "ret + 1", "rows.close", "first_one * 2", "list_sum(list_transform([close], x -> x + low))"],
)
def test_names_that_are_known_pass(text: str) -> None:
    check_expressions(settings(NOWHERE, features={"first_one": "close + 1", "second": text}))


def test_a_feature_cannot_use_one_that_comes_after_it() -> None:
    with pytest.raises(ConfigError, match=r"ingest\.features: first: .* found 'second'"):
        check_expressions(settings(NOWHERE, features={"first": "second + 1", "second": "close + 1"}))
