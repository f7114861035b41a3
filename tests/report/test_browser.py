import re
import shutil
import subprocess
from pathlib import Path

import pytest

from seawall.report.run import write_report
from tests.report.fake_run import World, make_run
from tests.report.test_run import hostile_world

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome found on the path")


def _loaded(page: Path, profile: Path) -> str:
    """Load a page in a headless browser and give its document after all scripts ran; a script error fails the test."""
    flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-sync"
    command = [str(BROWSER), *(f"--{flag}" for flag in (*flags.split(), "disable-component-update"))]
    command += [f"--user-data-dir={profile}", "--virtual-time-budget=10000", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
    assert "data-error" not in done.stdout
    return done.stdout


def _charts(document: str) -> list[str]:
    body = document[: document.rindex("</main>")]
    return re.split(r'<div class="chart', body)[1:]


@pytest.mark.parametrize("world", [World(), World(steps=True)], ids=["dates", "steps"])
def test_every_chart_is_drawn_and_no_script_fails(tmp_path: Path, world: World) -> None:
    run = make_run(tmp_path, world)
    write_report(run, run / "report.html")
    charts = _charts(_loaded(run / "report.html", tmp_path / "profile"))
    assert len(charts) == 7 + world.num_folds
    for chart in charts:
        assert 'class="main-svg"' in chart
        assert re.search(r'class="(trace|point|hm|points)', chart), chart[:80]


def test_hostile_names_run_nothing_and_still_draw(tmp_path: Path) -> None:
    run = make_run(tmp_path, hostile_world())
    write_report(run, run / "report.html")
    document = _loaded(run / "report.html", tmp_path / "profile")
    assert "data-hacked" not in document
    assert all('class="main-svg"' in chart for chart in _charts(document))
