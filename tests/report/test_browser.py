import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from seawall.report.reading import read_run
from seawall.report.run import write_report
from tests.report.browsing import CHARTS, CONTRAST, FOCUSED, OUTSIDE_WIDTH, UNFOCUSABLE
from tests.report.fake_run import World, make_run
from tests.report.test_run import HOSTILE, HOSTILE_FOLDER, SECTIONS, hostile_world

if TYPE_CHECKING:
    from playwright import sync_api

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome found on the path")

WIDTHS = (360, 768, 1440)


@dataclass(frozen=True)
class Shown:
    """A page in the browser, and what it complained of."""

    page: "sync_api.Page"
    complaints: list[str]


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def _report(folder: Path, world: World) -> Path:
    run = make_run(folder, world)
    write_report(run, run / "report.html")
    return run / "report.html"


def _open(browser: "sync_api.Browser", report: Path) -> Shown:
    page = browser.new_page(viewport={"width": 1440, "height": 900}, offline=True)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(report.as_uri())
    return Shown(page, complaints)


def _until(shown: Shown, is_so: Callable[[], bool]) -> None:
    """Wait for what a page does of itself; the policy of the page forbids the browser's own way to wait for it."""
    for _ in range(50):
        if is_so():
            return
        shown.page.wait_for_timeout(100)
    raise AssertionError("the page did not come to it within five seconds")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _report(tmp_path_factory.mktemp("report"), World())


@pytest.fixture(scope="module")
def shown(browser: "sync_api.Browser", report: Path) -> Shown:
    return _open(browser, report)


def test_times_are_drawn_as_the_dates_they_are(shown: Shown, report: Path) -> None:
    equity = read_run(report.parent).strategies[0].equity
    assert equity is not None

    drawn = shown.page.evaluate("document.getElementById('chart-equity').data[0].x")

    assert drawn == [str(day) for day in equity.times.astype("datetime64[D]")]


def test_every_section_is_there_and_the_page_complains_of_nothing(shown: Shown) -> None:
    assert shown.page.eval_on_selector_all("main > section", "all => all.map((e) => e.id)") == SECTIONS
    assert shown.page.eval_on_selector_all("nav a", "all => all.map((e) => e.hash.slice(1))") == SECTIONS
    assert shown.complaints == []


def test_every_chart_is_drawn(shown: Shown) -> None:
    charts = shown.page.evaluate(CHARTS)
    assert len(charts) == 10 + World().num_folds
    assert [chart["name"] for chart in charts if not chart["drawn"]] == []
    assert "NaN" not in shown.page.evaluate("document.querySelector('main').textContent")


def test_a_calendar_of_steps_is_drawn_as_well(browser: "sync_api.Browser", tmp_path: Path) -> None:
    shown = _open(browser, _report(tmp_path, World(steps=True)))
    charts = shown.page.evaluate(CHARTS)
    assert len(charts) == 8 + World().num_folds
    assert all(chart["drawn"] for chart in charts)
    assert shown.complaints == []
    shown.page.close()


@pytest.mark.parametrize("chart", ["equity", "ic-months", "ic-decay", "quantiles", "folds", "memory-units"])
def test_pointing_at_a_chart_tells_its_numbers(shown: Shown, chart: str) -> None:
    place = shown.page.locator(f"#chart-{chart}")
    place.scroll_into_view_if_needed()
    box = place.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    seen = 0
    for across, down in ((0.5, 0.6), (0.12, 0.6), (0.3, 0.4), (0.7, 0.3)):
        shown.page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down, steps=3)
        shown.page.wait_for_timeout(120)
        if seen := place.locator(".hoverlayer .hovertext, .hoverlayer .legend").count():
            break
    assert seen > 0


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_reaches_beyond_the_edge(shown: Shown, width: int) -> None:
    shown.page.set_viewport_size({"width": width, "height": 900})
    _until(shown, lambda: all(0 < chart["wide"] <= width for chart in shown.page.evaluate(CHARTS)))
    assert shown.page.evaluate("document.documentElement.scrollWidth") == width
    assert shown.page.evaluate(OUTSIDE_WIDTH) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_of_aa(shown: Shown, scheme: Literal["light", "dark"]) -> None:
    shown.page.set_viewport_size({"width": 1440, "height": 900})
    shown.page.emulate_media(color_scheme=scheme)
    shown.page.eval_on_selector_all("details", "all => all.forEach((e) => { e.open = true; })")
    found = shown.page.evaluate(CONTRAST)
    assert found["looked"] > 500
    assert found["faults"] == []


def test_the_check_of_contrast_can_fail(browser: "sync_api.Browser") -> None:
    page = browser.new_page()
    page.set_content('<p style="color:#999;background:#fff">pale</p><p style="color:#111;background:#fff">clear</p>')
    assert page.evaluate(CONTRAST) == {"looked": 2, "faults": ["2.85 pale"]}
    page.close()


def test_the_keyboard_reaches_everything_and_can_be_seen(browser: "sync_api.Browser", report: Path) -> None:
    shown = _open(browser, report)
    page = shown.page
    assert page.evaluate(UNFOCUSABLE) == []
    met = []
    for _ in range(len(SECTIONS) + 4):
        page.keyboard.press("Tab")
        met.append(page.evaluate(FOCUSED))
    assert met[0]["text"] == "Skip to the summary"
    assert [one["text"] for one in met[1 : len(SECTIONS) + 1]][:2] == ["Summary", "After costs"]
    assert "Light / dark" in [one["text"] for one in met]
    assert all(one["ring"] for one in met)
    page.close()


def test_a_line_is_switched_on_with_the_keyboard(shown: Shown) -> None:
    visible = "document.getElementById('chart-equity').data.map((trace) => trace.visible)"
    before = shown.page.evaluate(visible)
    shown.page.locator("#chart-equity .legend .traces", has_text="before costs").first.focus()
    shown.page.keyboard.press("Enter")
    _until(shown, lambda: shown.page.evaluate(visible) != before)
    assert shown.complaints == []


def test_the_theme_button_turns_the_page(shown: Shown) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    before = shown.page.evaluate(ground)
    shown.page.locator("#theme").click()
    assert shown.page.evaluate(ground) != before
    assert shown.page.evaluate(CONTRAST)["faults"] == []


def test_on_paper_the_page_is_light_and_its_charts_fit(shown: Shown) -> None:
    shown.page.emulate_media(color_scheme="dark")
    assert shown.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    shown.page.emulate_media(media="print")
    assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not shown.page.locator("nav").is_visible()
    shown.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    shown.page.wait_for_timeout(300)
    assert all(chart["wide"] <= 681 for chart in shown.page.evaluate(CHARTS))


def test_hostile_names_run_nothing_and_are_read_as_they_are(browser: "sync_api.Browser", tmp_path: Path) -> None:
    shown = _open(browser, _report(tmp_path, hostile_world()))
    assert shown.page.evaluate("document.documentElement.dataset.hacked") is None
    assert all(chart["drawn"] for chart in shown.page.evaluate(CHARTS))
    text = shown.page.evaluate("document.body.textContent")
    assert HOSTILE in text
    legend = shown.page.locator("#chart-equity .legendtext").all_text_contents()
    assert any(HOSTILE_FOLDER in line for line in legend)
    assert shown.complaints == []
    shown.page.close()
