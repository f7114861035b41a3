"""Every block of the search guide runs, in order, in an empty folder; the examples are configs the parser takes."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.pipeline.config import load_config, parse_config
from seawall.pipeline.search import read_section

ROOT = Path(__file__).parents[2]


def test_every_block_of_the_search_guide_runs(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "guide" / "search.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(python|yaml|sh)\n(.*?)```", text, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "yaml", "sh"]
    for kind, block in blocks:
        if kind == "yaml":
            (tmp_path / "search.yaml").write_text(block, encoding="utf-8")
            continue
        code = ["-c", block] if kind == "python" else ["-m", "seawall", *shlex.split(block)[1:]]
        done = subprocess.run([sys.executable, *code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "search" / "search" / "best_parameters.yaml").is_file()
    assert (tmp_path / "runs" / "search" / "report.html").is_file()


def test_the_examples_are_searches_the_parser_takes() -> None:
    forex = read_section(ROOT / "examples" / "search_forex.yaml")
    checked = parse_config({"output": "x", "search": {**forex, "source": "bars.parquet"}}, "forex")
    pse = load_config(ROOT / "examples" / "search_pse.yaml")

    assert checked.search is not None
    assert list(checked.search.types) == ["scalping", "swing"]
    assert pse.search is not None
    assert list(pse.search.types) == ["swing", "rebound"]


@pytest.mark.slow
def test_the_forex_example_ends_with_a_page_that_says_whether_to_believe_it(tmp_path: Path) -> None:
    data = ROOT.parent / "shared" / "data" / "forex_hourly.parquet"
    if not data.is_file():
        pytest.skip("no forex_hourly.parquet beside the checkout")
    argv: list[str | Path] = [
        "search",
        "--bars",
        data,
        "--config",
        ROOT / "examples" / "search_forex.yaml",
        "--output",
        tmp_path / "o",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "seawall", *argv, "--memory", "320MiB"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "Do not believe it" in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
