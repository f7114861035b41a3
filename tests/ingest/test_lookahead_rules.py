"""Planted violations, each caught by name before a row is read; their honest twins pass."""

from pathlib import Path

import pytest

from seawall.errors import ConfigError
from seawall.ingest.lookahead import check_expressions
from seawall.ingest.probe import probe
from tests.ingest.world import market, settings

WHOLE = "(PARTITION BY __entity)"
BACKWARDS = "(PARTITION BY __entity ORDER BY __time DESC)"

VIOLATIONS = {
    "lead": ("lead(close) OVER entity", "lag(close) OVER entity", "looks ahead, found lead()"),
    "lead hidden in a sum": (
        "close + coalesce(lead(close, 2) OVER entity, 0)",
        "close + 1",
        "looks ahead, found lead()",
    ),
    "negative lead": ("lead(close, -1) OVER entity", "lag(close, 1) OVER entity", "looks ahead, found lead()"),
    "negative lag": ("lag(close, -1) OVER entity", "lag(close, 5) OVER entity", "looks ahead, found lag() by -1"),
    "lag by a computed number": (
        "lag(close, 1 - 2) OVER entity",
        "lag(close, 1) OVER entity",
        "found lag() by an expression",
    ),
    "lag by a column": (
        "lag(close, CAST(-volume AS INT)) OVER entity",
        "lag(close) OVER entity",
        "found lag() by an expression",
    ),
    "lag without nulls, ahead": (
        "lag(close, -1 IGNORE NULLS) OVER entity",
        "lag(close IGNORE NULLS) OVER entity",
        "looks ahead, found lag() by -1",
    ),
    "centred frame": (
        "avg(close) OVER (entity ROWS BETWEEN 2 PRECEDING AND 2 FOLLOWING)",
        "avg(close) OVER (entity ROWS BETWEEN 4 PRECEDING AND CURRENT ROW)",
        "looks ahead, found avg() over a frame with FOLLOWING",
    ),
    "frame to the end": (
        "max(close) OVER (entity ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
        "max(close) OVER (entity ROWS UNBOUNDED PRECEDING)",
        "found max() over a frame with FOLLOWING",
    ),
    "frame of times ahead": (
        "sum(close) OVER (PARTITION BY __entity ORDER BY date RANGE BETWEEN CURRENT ROW AND INTERVAL 7 DAYS FOLLOWING)",
        "sum(close) OVER (PARTITION BY __entity ORDER BY date RANGE BETWEEN INTERVAL 7 DAYS PRECEDING AND CURRENT ROW)",
        "found sum() over a frame with FOLLOWING",
    ),
    "negative span of time": (
        "sum(close) OVER (PARTITION BY __entity ORDER BY date RANGE BETWEEN 1 PRECEDING AND -INTERVAL 7 DAY PRECEDING)",
        "sum(close) OVER (PARTITION BY __entity ORDER BY date RANGE BETWEEN INTERVAL 9 DAYS PRECEDING AND CURRENT ROW)",
        "found sum() over a frame whose bound",
    ),
    "mean of the whole history": (
        f"close / avg(close) OVER {WHOLE}",
        "close / avg(close) OVER entity",
        "without ORDER BY",
    ),
    "quantile of the whole history": (
        f"close / quantile_cont(close, 0.9) OVER {WHOLE}",
        "close / quantile_cont(close, 0.9) OVER (entity ROWS 59 PRECEDING)",
        "found quantile_cont() over a window without ORDER BY",
    ),
    "rows to the end": (
        f"row_number() OVER {BACKWARDS}",
        "row_number() OVER entity",
        "row_number() over a window with ORDER BY",
    ),
    "first of the reverse": (
        f"first_value(close) OVER {BACKWARDS}",
        "first_value(close) OVER entity",
        "ORDER BY ... DESC",
    ),
    "order by price": (
        "lag(close) OVER (PARTITION BY __entity ORDER BY close)",
        "lag(close) OVER (PARTITION BY __entity ORDER BY __time)",
        "found lag() over a window that is not ordered by time",
    ),
    "subquery": ("close / (SELECT max(close) FROM rows)", "close / 2", "reads other rows, found a subquery"),
    "self-join": (
        "(SELECT b.close FROM rows b WHERE b.__time > rows.__time LIMIT 1)",
        "close",
        "reads other rows, found a subquery",
    ),
    "correlated subquery": (
        "(SELECT avg(b.close) FROM rows b WHERE b.__entity = rows.__entity)",
        "close",
        "reads other rows, found a subquery",
    ),
    "exists": ("CASE WHEN EXISTS (SELECT 1 FROM rows b WHERE b.close > 50) THEN 1 END", "close", "found a subquery"),
    "aggregate of everything": ("avg(close)", "abs(close)", "reads other rows, found avg() without OVER"),
    "share of the history": ("cume_dist() OVER entity", "rank() OVER entity", "looks ahead, found cume_dist()"),
    "rank in per cent": ("percent_rank() OVER entity", "dense_rank() OVER entity", "looks ahead, found percent_rank()"),
    "tenths of the history": ("ntile(10) OVER entity", "row_number() OVER entity", "looks ahead, found ntile()"),
    "holes filled from both sides": ("fill(close) OVER entity", "coalesce(close, 0)", "looks ahead, found fill()"),
    "rank of the date": (
        "rank() OVER (PARTITION BY __time ORDER BY close)",
        "close",
        "reads other entities, found rank()",
    ),
    "no partition": (
        "lag(close) OVER (ORDER BY __time)",
        "lag(close) OVER entity",
        "reads other entities, found lag()",
    ),
    "chance": ("close + random()", "close", "is not the same twice, found random()"),
    "two values": ("1) AS DOUBLE), CAST((lead(close) OVER entity", "close", "one SQL expression is expected"),
    "broken": ("lag(close OVER entity", "close", "the SQL expression fails, found Parser Error: syntax error"),
}


@pytest.mark.parametrize("case", VIOLATIONS)
def test_a_planted_violation_is_refused_by_name_and_its_clean_twin_passes(case: str) -> None:
    guilty, clean, message = VIOLATIONS[case]
    with pytest.raises(ConfigError) as error:
        check_expressions(settings(Path("m.csv"), features={"innocent": "close", "guilty": guilty}))
    assert str(error.value).startswith("ingest.features: guilty: ")
    assert message in str(error.value)
    check_expressions(settings(Path("m.csv"), features={"innocent": "close", "clean": clean}))


@pytest.mark.parametrize("where", ["derived", "universe", "drop_rows"])
def test_helpers_universe_and_row_rules_are_checked_too(where: str) -> None:
    text = "lead(close) OVER entity > 1"
    changes = {where: text if where == "universe" else {"guilty": text}}
    place = "ingest.features: universe" if where == "universe" else f"ingest.{where}: guilty"
    with pytest.raises(ConfigError, match=place):
        check_expressions(settings(Path("m.csv"), **changes))


def test_a_look_ahead_is_refused_when_the_run_is_planned(tmp_path: Path) -> None:
    market().to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(ConfigError, match=r"guilty: the expression looks ahead, found lead\(\)"):
        probe(settings(tmp_path / "m.csv", features={"guilty": "lead(close) OVER entity"}))


def test_the_expressions_of_the_demo_pass() -> None:
    from seawall.pipeline.config import load_config

    config = load_config(Path(__file__).parents[2] / "src/seawall/datasets/pse_equities/demo.yaml")
    assert config.ingest is not None
    check_expressions(config.ingest)
