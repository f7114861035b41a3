import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from seawall.errors import FormatError
from seawall.report.run import write_report
from tests.report.fake_run import World, make_run

MAX_PAGE_BYTES = 6_000_000
SECTIONS = ["summary", "money", "prediction", "quantiles", "folds", "training", "memory", "data", "configuration"]
HOSTILE = "</script><script>document.documentElement.dataset.hacked=1</script><img src=x onerror=alert(1)>\"'\n&amp;"
HOSTILE_FOLDER = "<script>alert(1)<!--\"'"


class Page(HTMLParser):
    """What a browser would see: tags in order, their attributes, and the text outside scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sections: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self._silent = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._silent += tag in ("script", "style")
        self.attributes.update(name for name, _ in attrs)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "section":
            self.sections += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text += data


def _report(folder: Path, world: World | None = None, title: str | None = None) -> Page:
    run = make_run(folder, world)
    write_report(run, run / "report.html", title=title)
    return Page(run / "report.html")


def test_the_page_has_its_sections_in_order_and_stays_small(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    seen: list[str] = []

    def beat(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        seen.append(substep)

    summary = write_report(run, run / "report.html", beat=beat)
    assert Page(run / "report.html").sections == SECTIONS
    assert summary["bytes"] == (run / "report.html").stat().st_size < MAX_PAGE_BYTES
    assert summary["num_memory_samples"] == 3_600
    assert summary["num_warnings"] == 3
    assert list(dict.fromkeys(seen)) == ["timeline", "records", "sections", "write"]
    assert (run / "memory.parquet").is_file()
    json.dumps(summary, allow_nan=False)


def test_a_large_run_still_makes_a_small_page(tmp_path: Path) -> None:
    world = World(num_folds=30, test_dates=500, strategies=tuple(f"s{i}" for i in range(8)))
    run = make_run(tmp_path, world)
    assert write_report(run, run / "report.html")["bytes"] < MAX_PAGE_BYTES


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    page = _report(tmp_path)
    assert all(link.startswith("#") for link in page.links)
    assert "link" not in page.tags
    assert "iframe" not in page.tags


def test_the_policy_of_the_page_allows_its_two_scripts_and_nothing_else(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write_report(run, run / "report.html")
    head = (run / "report.html").read_text(encoding="utf-8")[:2_000]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', head)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert policy[1].count("sha256-") == 2
    assert "connect-src" not in policy[1]


def test_the_title_is_the_name_of_the_run_unless_another_is_given(tmp_path: Path) -> None:
    assert "pse-demo" in _report(tmp_path / "a").text
    assert "Third quarter" in _report(tmp_path / "b", title="Third quarter").text


def test_the_page_tells_the_numbers_of_the_records(tmp_path: Path) -> None:
    text = _report(tmp_path).text
    for expected in (
        "538,408",
        "not a number: volume",
        "Scale breaks: 26",
        "Suspicious jumps: 213, the first 50 listed",
        "31.00 %",
        "cost_bps",
        "top_k",
        "906",
        "6,913",
        "seawall run config.yaml --memory 1024MiB",
        "9f3c51d0a2b74c66e1f08d5b7a90c4e2",
        "2 batches x 512 windows",
    ):
        assert expected in text, expected


@pytest.mark.parametrize(
    ("prices", "sentence"),
    [
        ([], "This panel has no prices, so nothing is traded."),
        (["close"], "The config has no backtest section, so nothing is traded."),
    ],
)
def test_a_run_that_trades_nothing_says_why(tmp_path: Path, prices: list[str], sentence: str) -> None:
    run = make_run(tmp_path)
    shutil.rmtree(run / "backtest")
    (run / "config.yaml").write_text(yaml.safe_dump({"name": "rivers", "ingest": {"prices": prices}}))
    write_report(run, run / "report.html")
    assert Page(run / "report.html").text.count(sentence) == 2, "in the summary and in its own section"


def test_undefined_numbers_are_called_undefined(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    metrics = json.loads((run / "metrics/metrics.json").read_text())
    metrics["overall"]["rank_ic"] = dict.fromkeys(metrics["overall"]["rank_ic"])
    metrics["overall"]["quantiles"] = [None] * 5
    (run / "metrics/metrics.json").write_text(json.dumps(metrics))
    statistics = json.loads((run / "backtest/top_20/statistics.json").read_text())
    statistics |= {"annual_return": None, "sharpe": None, "max_drawdown": None}
    (run / "backtest/top_20/statistics.json").write_text(json.dumps(statistics))
    write_report(run, run / "report.html")
    text = Page(run / "report.html").text
    assert "Undefined: too few dates to test." in text
    assert "top_20: undefined a year, Sharpe undefined, worst drawdown undefined" in text
    assert not re.search(r"\b(nan|none|null)\b", text, re.IGNORECASE)


@pytest.mark.parametrize(
    ("remove", "sentence"),
    [
        ("metrics", "The predictions have not been evaluated yet."),
        ("backtest", "There is no backtest in this run yet."),
        ("models", "No model has been trained yet."),
        ("folds.json", "The folds have not been laid out yet."),
        ("config.yaml", "The run has no configuration file."),
        ("memory.csv", "Projected and measured"),
        ("plan.json", "Projected and measured"),
        ("backtest/coverage.json", "Equity and drawdown"),
        ("backtest/top_20/equity.parquet", "Equity and drawdown"),
        ("metrics/daily.parquet", "Outcome by quantile"),
        ("models/fold_01/model.json", "Fold 1"),
        ("../pse.panel", "Data quality"),
    ],
)
def test_a_missing_record_gives_a_sentence_not_a_failure(tmp_path: Path, remove: str, sentence: str) -> None:
    run = make_run(tmp_path)
    path = run / remove
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_report(run, run / "report.html")
    page = Page(run / "report.html")
    assert sentence in page.text
    assert page.sections == SECTIONS


def test_a_run_without_any_unit_still_gives_a_page(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": "seawall-run/1", "name": "young", "units": {}}')
    write_report(tmp_path, tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert page.sections == SECTIONS
    assert "The ingest report was not found." in page.text


def test_a_calendar_of_steps_makes_a_page(tmp_path: Path) -> None:
    assert "Rank IC over time" in _report(tmp_path, World(steps=True)).text


def hostile_world() -> World:
    return World(
        strategies=(HOSTILE_FOLDER,), panel_name=HOSTILE_FOLDER, run_name=HOSTILE, entity=HOSTILE, column=HOSTILE
    )


def test_hostile_names_and_titles_are_shown_as_text(tmp_path: Path) -> None:
    clean = _report(tmp_path / "clean", World(strategies=("x",)))
    hostile = _report(tmp_path / "hostile", hostile_world(), title=HOSTILE)
    assert hostile.tags == clean.tags
    assert hostile.attributes == clean.attributes
    assert HOSTILE in hostile.text
    assert HOSTILE_FOLDER in hostile.text


def test_a_folder_that_is_no_run_is_refused_and_an_old_page_stays(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    with pytest.raises(FormatError, match="not a run folder"):
        write_report(tmp_path, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "old"


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys, seawall.report.memory, seawall.report.config;"
        "print(sorted({'numpy', 'pyarrow', 'plotly', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
