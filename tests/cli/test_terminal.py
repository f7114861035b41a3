"""The terminal: tables fit 80 columns, --quiet and --json hold everywhere, colours follow the reader's wish."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import typer
import yaml
from rich.console import Console
from typer.testing import CliRunner

from seawall.cli.live import OwnProgress, is_live
from seawall.cli.main import app
from tests.cli.test_commands import seawall
from tests.cli.test_help import commands_of
from tests.pipeline.world import config, market, write_market

EDGES = "━│┃─┏└┡┌"
CURSOR = re.compile(r"\x1b\[(\?25[lh]|\d*[A-GJK])")
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config, its finished run of one fold, and tables of anybody."""
    folder = tmp_path_factory.mktemp("terminal")
    frame = market()
    source = write_market(folder / "market.csv", frame)
    settings = config(source, folder / "out", max_epochs=1, folds={"train": 150, "valid": 30, "test": 60})
    settings["train"]["model"] = {"kind": "lstm", "hidden_size": 4}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    done = seawall("run", folder / "config.yaml", "--memory", "1GiB", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout)["units"]
    scores = frame.rename(columns={"value": "prediction"}).assign(y_ret_10d=frame["close"].pct_change())
    write_market(folder / "scores.csv", scores)
    return folder


def in_process(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    """Run a command that starts no child in this process."""
    told = {"COLUMNS": "80", "NO_COLOR": "1", **environment}
    shown = CliRunner().invoke(app, [str(word) for word in arguments], env=told)
    return shown.exit_code, shown.stdout, shown.stderr


def looks(world: Path) -> list[list[str]]:
    """Commands that read what is there."""
    run = str(world / "out")
    panel = str(world / "out" / "small.panel")
    return [
        ["status", run],
        ["inspect", panel],
        ["inspect", panel, "--entity", "S00"],
        ["verify", panel],
        ["doctor", "--memory", "1GiB"],
        ["schema"],
        ["clean", run, "--dry-run"],
        ["cluster", "scale", run, "--nodes", "2", "--nodes", "1000", "--table", "1TiB", "--folds", "100"],
        ["plan", str(world / "config.yaml"), "--memory", "1GiB"],
    ]


def works(world: Path) -> list[list[str]]:
    """Commands that do work in children."""
    run, scores, settings = str(world / "out"), str(world / "scores.csv"), str(world / "config.yaml")
    keys = ["--entity", "symbol", "--time", "date"]
    joined = ["--predictions", scores, "--returns", scores, "--output", str(world / "joined.parquet")]
    return [
        ["run", settings],
        ["evaluate", "--predictions", scores, "--target", "y_ret_10d", "--horizon", "1", *keys],
        ["join", *joined, *keys],
        ["report", run, run, "--output", str(world / "compare.html")],
        ["compact", str(world / "out" / "small.panel")],
        ["doctor", "leak", settings],
    ]


def tables(text: str) -> list[str]:
    return [line for line in text.splitlines() if any(edge in line for edge in EDGES)]


def fits(text: str) -> None:
    """Hold every line of a table to 80 columns, nothing of it cut off."""
    for line in tables(text):
        assert len(line) <= 80, line
        assert "…" not in line, line


def test_every_table_of_a_look_fits_80_columns(world: Path) -> None:
    drawn = 0
    for words in looks(world):
        code, out, err = in_process(*words)
        assert code == 0, (words, out, err)
        fits(out)
        drawn += bool(tables(out))
    assert drawn >= 4


def test_every_table_of_work_fits_80_columns_and_lines_without_a_terminal_are_plain(world: Path) -> None:
    for words in works(world):
        done = seawall(*words, "--memory", "1GiB", COLUMNS="80")
        assert done.returncode == 0, (words, done.stderr)
        fits(done.stdout)
        fits(done.stderr)
        assert "\x1b" not in done.stdout + done.stderr
        assert words[0] in ("compact", "doctor", "evaluate") or tables(done.stdout + done.stderr), words


def test_tables_of_a_search_fit_80_columns() -> None:
    from seawall.cli.search import _chosen_table, _result_table, _verdict_table

    account = {"num_trades": 1_234_567, "mean_return": -0.0123456}
    chosen = {
        "take_profit_bps": 12_000.0, "stop_loss_bps": 15_000.0, "trail_distance_bps": 12_500.0,
        "trail_activation_bps": 20_000.0, "holding_periods": 1_440,
    }  # fmt: skip
    validation = {
        "gate": {"passed": False}, "reality_check_p": None, "walk_forward_total": -12.34567,
        "loss_probability": 0.123, "pbo": None, "spa_p": None,
    }  # fmt: skip
    own = {
        "chosen": chosen, "account": {"search": account, "holdout": account}, "validation": validation,
        "num_trials": 191_940,
    }  # fmt: skip
    types = {"scalping": own, "swing": own}
    console = Console(width=80, file=io.StringIO())
    with console.capture() as shown:
        console.print(_chosen_table(types))
        console.print(_result_table(types))
        console.print(_verdict_table(types))
    text = shown.get()
    fits(text)
    whole = " ".join(text.split())
    for value in ("scalping", "1,234,567", "191,940", "1440", "undefined", "-123,456.7"):
        assert value in whole, value


def test_quiet_prints_nothing_and_with_json_the_json_alone(world: Path) -> None:
    for words in looks(world):
        assert in_process(*words, "--quiet") == (0, "", ""), words
        code, out, err = in_process(*words, "--quiet", "--json")
        assert (code, err) == (0, ""), words
        assert isinstance(json.loads(out), dict), words


def test_quiet_work_prints_nothing(world: Path) -> None:
    for words in (*works(world)[:2], ["export", str(world / "out"), "--to", "qlib-pred", "--output", str(world / "q")]):
        done = seawall(*words, "--quiet", "--memory", "1GiB")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), words


def test_every_command_takes_quiet_and_json() -> None:
    found = commands_of(typer.main.get_command(app))
    for group in ("cluster", "doctor"):
        found |= {f"{group} {name}": command for name, command in commands_of(found[group]).items()}
    assert {"doctor leak", "cluster head", "cluster stop"} <= found.keys()
    del found["cluster"]  # does nothing by itself
    for name, command in found.items():
        options = {option for part in command.params for option in part.opts}
        assert {"--quiet", "--json"} <= options, name


def test_colours_are_forced_and_forbidden_by_the_environment(world: Path) -> None:
    words = ["status", str(world / "out")]
    plain, forced = seawall(*words), seawall(*words, FORCE_COLOR="1", TERM="xterm-256color")
    both = seawall(*words, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")
    assert "\x1b" not in plain.stdout
    assert "\x1b[1m" in forced.stdout
    assert not COLOUR.search(both.stdout)

    refused = seawall("plan", str(world / "config.yaml"), "--memory", "2GB", FORCE_COLOR="1", TERM="xterm-256color")
    assert COLOUR.search(refused.stderr)
    silent = seawall("plan", str(world / "config.yaml"), "--memory", "2GB", NO_COLOR="1", FORCE_COLOR="1")
    assert not COLOUR.search(silent.stderr)


def test_forced_colours_in_a_pipe_redraw_nothing(world: Path) -> None:
    done = seawall("run", world / "config.yaml", "--memory", "1GiB", FORCE_COLOR="1", TERM="xterm-256color")
    assert done.returncode == 0
    assert "\x1b[" in done.stderr
    assert not CURSOR.search(done.stdout + done.stderr)


@pytest.mark.parametrize(("term", "redraws"), [("xterm-256color", True), ("dumb", False)])
def test_a_terminal_is_drawn_anew_and_a_dumb_one_is_not(world: Path, term: str, redraws: bool) -> None:
    assert bool(CURSOR.search(on_terminal(["verify", str(world / "out" / "small.panel")], TERM=term))) is redraws


def test_a_terminal_without_colours_still_shows_progress(world: Path) -> None:
    words = ["verify", str(world / "out" / "small.panel")]
    shown = on_terminal(words, TERM="xterm-256color", NO_COLOR="1")
    assert CURSOR.search(shown)
    assert not COLOUR.search(shown)
    assert "MiB" in shown


def on_terminal(words: list[str], **environment: str) -> str:
    """Run the command line on a terminal of its own and give what was written to it."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "seawall", *words]
    ours = {**kept, "COLUMNS": "80", **environment}
    with subprocess.Popen(command, stdin=writer, stdout=writer, stderr=writer, env=ours) as run:
        os.close(writer)
        shown = b""
        with suppress(OSError):  # the terminal is gone once its last writer is
            while part := os.read(reader, 65_536):
                shown += part
        assert run.wait(60) == 0
    os.close(reader)
    return shown.decode()


def test_work_in_this_process_says_in_plain_lines_that_it_is_alive(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = iter([0.0, 1.0, 11.0, 11.0, 12.0])
    with OwnProgress("verify", clock=lambda: next(seconds)) as progress:
        assert not is_live(progress.console)
        for done in (1, 2, 3):
            progress.moved(done, 9)
    shown = capsys.readouterr().err
    assert re.fullmatch(r"  verify: 2 of 9, \d.* MiB\n", shown), shown
