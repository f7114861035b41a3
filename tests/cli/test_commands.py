"""Commands around a run: what they say of a folder that a kill left, and how they end when they are stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from seawall.cli.run import own_command
from seawall.pipeline.manifest import RunManifest
from tests.pipeline.world import config, market, write_market
from tests.support import make_panel


def seawall(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a fresh process."""
    command = [sys.executable, "-m", "seawall", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **environment}
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A config file of a small run that has not started."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config(write_market(tmp_path / "market.csv", market()), tmp_path / "out")))
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_stopped_by_a_scheduler_or_a_closed_terminal_ends_in_order(
    written: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "seawall", "run", str(written), "--memory", "900MiB"]
    before = signal.signal(number, signal.SIG_DFL)  # who runs the tests may have told them to ignore it (nohup)
    try:
        run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(number, before)
    while not (tmp_path / "out" / ".heartbeat.json").exists():
        time.sleep(0.02)
    run.send_signal(number)
    _, errors = run.communicate(timeout=60)

    assert run.returncode == 130
    assert "Continue with:" in errors
    done = seawall("status", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["unfinished"]["unit"] is not None


def test_status_tells_what_a_kill_left(tmp_path: Path) -> None:
    RunManifest(tmp_path, "m").begin()
    told = seawall("status", tmp_path).stdout
    assert "what happened  not running\nwhat is safe   no unit is finished\ntype next      the command that" in told

    (tmp_path / ".request.json").write_text('{"unit": "train/fold_01"}')
    assert "it stopped in train/fold_01, before its first report" in seawall("status", tmp_path).stdout

    (tmp_path / ".heartbeat.json").write_text('{"substep": "epoch [3]"}')
    assert "it stopped in train/fold_01, epoch [3]" in seawall("status", tmp_path).stdout


def test_the_command_that_continues_does_not_start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in (["--from", "train"], ["--from=train"]):
        monkeypatch.setattr(sys, "argv", ["/bin/seawall", "run", "my config.yaml", *option, "--quiet"])

        assert own_command(without="--from") == "seawall run 'my config.yaml' --quiet"
    assert own_command() == "seawall run 'my config.yaml' --from=train --quiet"


@pytest.mark.parametrize("command", ["inspect", "verify"])
@pytest.mark.parametrize(
    "change",
    [{"files": {"a": 1}}, {"files": {"a": {"bytes": 1}}}, {"columns": [{"name": "x", "group": "features"}]}],
)
def test_a_panel_manifest_that_lacks_what_is_shown_is_bad_data(
    tmp_path: Path, command: str, change: dict[str, object]
) -> None:
    (tmp_path / "t.csv").write_text("symbol,date,close\nA,2020-01-01,1.0\nA,2020-01-02,2.0\n")
    panel = tmp_path / "x.panel"
    seawall("ingest", tmp_path / "t.csv", "--output", panel, "--entity", "symbol", "--time", "date")
    manifest = json.loads((panel / "panel.json").read_text())
    (panel / "panel.json").write_text(json.dumps(manifest | change))

    done = seawall(command, panel)

    assert done.returncode == 4
    assert "damaged manifest" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_the_terminal_cannot_show_is_written_with_escapes(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("symbol,date,größe\nA,2020-01-01,1.0\nA,2020-01-02,2.0\n", encoding="utf-8")
    panel = tmp_path / "x.panel"
    seawall("ingest", tmp_path / "t.csv", "--output", panel, "--entity", "symbol", "--time", "date")

    done = seawall("inspect", panel, PYTHONIOENCODING="ascii")

    assert done.returncode == 0, done.stderr
    assert "gr\\xf6\\xdfe" in done.stdout


def test_an_output_whose_name_is_not_unicode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("symbol,date,close\nA,2020-01-01,1.0\n")
    output = tmp_path / os.fsdecode(b"caf\xe9.panel")

    done = seawall("ingest", tmp_path / "t.csv", "--output", output, "--entity", "symbol", "--time", "date")

    assert done.returncode == 2
    assert "not valid Unicode" in done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"t.csv"}


def test_without_a_terminal_nothing_is_printed_but_lines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("symbol,date,close\nA,2020-01-01,1.0\nA,2020-01-02,2.0\n")

    done = seawall(
        "ingest", tmp_path / "t.csv", "--output", tmp_path / "x.panel", "--entity", "symbol", "--time", "date"
    )

    assert all(line.strip() and "\x1b" not in line and len(line) <= 80 for line in done.stderr.splitlines())


def test_the_plan_draws_the_folds_once_the_panel_is_there_and_what_is_purged_once_it_is_counted(tmp_path: Path) -> None:
    make_panel(tmp_path, num_dates=148, num_entities=3, ragged=False)
    folds = {"kind": "combinatorial", "num_groups": 4, "num_test_groups": 1, "valid": 10, "embargo_periods": 2}
    train = {"target": "fwd", "lookback_periods": 4, "folds": folds}
    settings = {"output": str(tmp_path / "out"), "panel": str(tmp_path / "world.panel"), "train": train}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings))

    before = seawall("plan", path, "--memory", "900MiB").stdout.splitlines()
    assert seawall("run", path, "--only", "folds", "--memory", "900MiB").returncode == 0
    after = seawall("plan", path, "--memory", "900MiB").stdout.splitlines()

    start = before.index("folds on 148 dates, 2019-04-14 to 2019-09-08")
    assert before[start + 2] == "   1 " + "t" * 18 + "T" * 19 + "t" * 32 + "v" * 5
    assert after[start + 2] == "   1 " + "t" * 16 + "xe" + "T" * 19 + "xe" + "t" * 27 + "xxe" + "v" * 5
    assert max(map(len, after[start:])) <= 80


def test_the_plan_of_a_panel_still_to_be_made_says_that_folds_come_later(written: Path) -> None:
    assert "folds: drawn once the panel is there" in seawall("plan", written, "--memory", "900MiB").stdout
