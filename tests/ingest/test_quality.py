from pathlib import Path
from typing import Any

import pytest

from seawall.cli.main import app
from seawall.ingest.quality import look_alikes
from seawall.ingest.words import report_lines
from seawall.report.ingest_page import write_ingest_page
from seawall.stores.panel import Panel
from tests.ingest.test_bad_input import SIMPLE
from tests.ingest.world import ingested

ROWS = """symbol,date,close,x,flat
AAPL,2020-01-03,0,inf,1
aapl ,2020-01-01,-2,1,1
AAPL,2020-01-01,1,2.123456789012345,1
<b>&,2020-01-01,1,16777217,1
<b>&,2020-01-02,5,3,1
"""


@pytest.fixture
def odd(tmp_path: Path) -> tuple[Panel, dict[str, Any]]:
    (tmp_path / "m.csv").write_text(ROWS, encoding="utf-8")
    changes = SIMPLE | {"values": ("x", "flat"), "features": {"x": "x", "flat": "flat"}}
    return ingested(tmp_path / "m.panel", tmp_path / "m.csv", **changes)


def test_names_that_look_alike_are_grouped() -> None:
    names = ["AAPL", "aapl ", "A APL", "MSFT", "\uff2dSFT", "stra\u00dfe", "STRASSE", "B"]
    assert look_alikes(names) == [["AAPL", "aapl ", "A APL"], ["MSFT", "\uff2dSFT"], ["stra\u00dfe", "STRASSE"]]
    assert look_alikes(["A", "B"]) == []


def test_oddities_are_counted_and_left_as_they_are(odd: tuple[Panel, dict[str, Any]]) -> None:
    panel, report = odd
    assert report["prices"] == {"close": {"zero": 1, "negative": 1, "infinite": 0, "missing": 0}}
    assert report["infinite_values"] == {"x": 1}
    assert report["constant_columns"] == ["flat"]
    assert report["look_alikes"] == [["AAPL", "aapl "]]
    assert report["num_gaps"] == 1
    assert report["num_suspicious_jumps"] == 1
    assert panel.prices[:, 0].tolist() == [1.0, 5.0, 1.0, 0.0, -2.0]


def test_a_value_that_float32_cannot_hold_is_counted(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("symbol,date,x\nA,1,1e39\nA,2,1e-46\nA,3,16777217\nA,4,0.1\n", encoding="utf-8")
    changes = SIMPLE | {"prices": (), "values": ("x",), "features": {"x": "x"}}
    _, report = ingested(tmp_path / "m.panel", tmp_path / "m.csv", **changes)
    assert report["lossy_casts"] == {"x": 2}  # 16777217 loses 6e-8 of itself, 0.1 as much


def test_the_report_is_told_in_words(odd: tuple[Panel, dict[str, Any]]) -> None:
    lines = report_lines(odd[1])
    assert "price close: 1 zero, 1 negative" in lines
    assert "infinite values, kept as missing: 1 in x" in lines
    assert "constant columns: flat" in lines
    assert "entities that look alike: 'AAPL', 'aapl '" in lines
    assert any(line.startswith("suspicious jumps: 1, the largest '<b>&' at 2020-01-02, x 5") for line in lines)


def test_the_page_escapes_names_and_loads_nothing(odd: tuple[Panel, dict[str, Any]], tmp_path: Path) -> None:
    write_ingest_page(tmp_path / "r.html", "<m>.panel", odd[0].manifest)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert "http:" not in page.replace('http-equiv="', "")


def test_the_command_prints_the_report_and_writes_the_page(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    (tmp_path / "m.csv").write_text(ROWS, encoding="utf-8")
    options = ["--entity", "symbol", "--time", "date", "--prices", "close", "--report", str(tmp_path / "r.html")]
    arguments = ["ingest", str(tmp_path / "m.csv"), "--output", str(tmp_path / "m.panel"), *options]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "price close: 1 zero, 1 negative" in result.output
    assert "Suspicious jumps" in (tmp_path / "r.html").read_text(encoding="utf-8")
