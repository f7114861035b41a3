"""Commands on a panel store; killed anywhere, the panel is the old one or the new one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from seawall.ingest.append import append
from seawall.ingest.compact import compact
from seawall.stores.panel import Panel
from tests.cli.test_commands import seawall
from tests.ingest.world import market

MEMORY = ("--memory", "900MiB")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a panel of two segments and the source of a third."""
    folder = tmp_path_factory.mktemp("commands")
    frame = market(num_entities=6, num_dates=60, seed=1)
    days = np.unique(frame["date"])
    for name, low, high in (("a", 0, 40), ("b", 40, 50), ("c", 50, 60)):
        frame[frame["date"].between(days[low], days[high - 1])].to_csv(folder / f"{name}.csv", index=False)
    keys = ("--entity", "symbol", "--time", "date", "--prices", "open,high,low,close")
    assert seawall("ingest", folder / "a.csv", "--output", folder / "x.panel", *keys, *MEMORY).returncode == 0
    assert seawall("append", folder / "b.csv", "--panel", folder / "x.panel", *MEMORY).returncode == 0
    return folder


def copy(made: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-a", made / "x.panel", tmp_path], check=True)
    return tmp_path / "x.panel"


def test_append_says_what_it_did_and_does_it_once(made: Path, tmp_path: Path) -> None:
    panel = copy(made, tmp_path)
    first = seawall("append", made / "c.csv", "--panel", panel, *MEMORY)
    again = seawall("append", made / "*.csv", "--panel", panel, *MEMORY)
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert "new rows" in first.stdout
    assert "3 segments; seawall compact makes them one" in first.stdout
    assert "nothing to add" in again.stdout
    record = json.loads(seawall("compact", panel, "--json", *MEMORY).stdout)
    assert record["summary"]["compacted"]
    assert record["measured_private_bytes"] <= record["projected_private_bytes"]
    assert "one segment, nothing to do" in seawall("compact", panel, *MEMORY).stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.panel"]


def test_inspect_shows_ranges_shares_and_any_entity(made: Path) -> None:
    shown = seawall("inspect", made / "x.panel", COLUMNS="140").stdout
    opened = Panel(made / "x.panel")
    assert f"{opened.shape.num_rows:,} rows" in shown
    assert "seg-000001" in shown
    facts = json.loads(seawall("inspect", made / "x.panel", "--json").stdout)
    missing = np.isnan(opened.prices[:]).mean(axis=0)
    assert facts["missing_shares"]["prices"] == dict(zip(opened.names("prices"), missing.tolist(), strict=True))
    assert (facts["first_time"], facts["last_time"]) == ("2020-01-01", "2020-03-10")
    one = json.loads(seawall("inspect", made / "x.panel", "--entity", "SPLIT", "--head", "3", "--json").stdout)[
        "entity"
    ]
    rows = opened.entity("SPLIT").slice
    assert one["num_rows"] == rows.stop - rows.start
    assert one["head"]["close"] == opened.prices[rows][:3, 3].tolist()
    assert len(one["head"]["time"]) == 3
    assert "SPLIT" in seawall("inspect", made / "x.panel", "--entity", "SPLIT").stdout
    wrong = seawall("inspect", made / "x.panel", "--entity", "SPLT")
    assert wrong.returncode == 2
    assert "Did you mean 'SPLIT'?" in wrong.stderr


def test_verify_names_every_damaged_block(made: Path, tmp_path: Path) -> None:
    panel = copy(made, tmp_path)
    assert "all as written" in seawall("verify", panel).stdout
    for name in ("seg-000000/prices.npy", "seg-000001/features.npy"):
        data = bytearray((panel / name).read_bytes())
        data[-1] ^= 1
        (panel / name).write_bytes(data)
    (panel / "seg-000001" / "calendar.npy").unlink()
    done = seawall("verify", panel, "--json")
    assert done.returncode == 4
    assert "block 0 is damaged (from byte 0 on)" in done.stderr
    assert "and 2 more: seg-000001/calendar.npy: missing" in done.stderr
    found = [(item["file"], item["block"]) for item in json.loads(done.stdout)["damaged"]]
    assert found == [("seg-000000/prices.npy", 0), ("seg-000001/calendar.npy", None), ("seg-000001/features.npy", 0)]


@pytest.mark.parametrize("kind", ["parquet", "qlib"])
def test_export_writes_a_folder_that_is_not_there_yet(made: Path, tmp_path: Path, kind: str) -> None:
    done = seawall("export", made / "x.panel", "--to", kind, "--output", tmp_path / "out", "--json", *MEMORY)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["summary"]["num_rows"] == Panel(made / "x.panel").shape.num_rows
    assert record["measured_private_bytes"] <= record["projected_private_bytes"]
    again = seawall("export", made / "x.panel", "--to", kind, "--output", tmp_path / "out", *MEMORY)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert seawall("export", made / "x.panel", "--to", "feather", "--output", tmp_path / "o").returncode == 2


def test_a_budget_too_small_is_refused_before_anything_is_written(made: Path, tmp_path: Path) -> None:
    panel = copy(made, tmp_path)
    commands: list[list[str | Path]] = [["append", made / "c.csv", "--panel", panel], ["compact", panel]]
    for command in commands:
        done = seawall(*command, "--memory", "64MiB")
        assert done.returncode == 3, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.panel"]


KILLED = """
import os, signal, sys
from pathlib import Path
from seawall.stores import panel_writer
from seawall.ingest import append, compact
place, panel, source = sys.argv[1:]
calls = []
def die(*args, **named):
    calls.append(place)
    if place != "remove_segments" or len(calls) > 1:  # the first call clears up before the work
        os.kill(os.getpid(), signal.SIGKILL)
def arm():
    if place == "rename":
        Path.rename = die
    else:
        setattr(panel_writer, place, die)
find_tails = append.find_tails
def armed(*args):
    arm()
    return find_tails(*args)
if place in ("ingest", "find_tails"):
    setattr(append, place, die)
else:
    append.find_tails = armed  # the new rows are read by then: what is killed is the writing of the segment
if source:
    append.append([source], Path(panel), budget_bytes=400 << 20)
else:
    arm()
    compact.compact(Path(panel), block_rows=50)
"""

PLACES = ("ingest", "find_tails", "write_array", "block_checksums", "rename", "write_text", "remove_segments")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("stage", ["append", "compact"])
def test_a_kill_at_any_step_leaves_the_old_panel_or_the_new_one(
    made: Path, tmp_path: Path, stage: str, place: str
) -> None:
    if stage == "compact" and place in ("ingest", "find_tails"):
        pytest.skip("a step of append alone")
    panel, source = copy(made, tmp_path), str(made / "c.csv") if stage == "append" else ""
    old = Panel(panel)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
    command = [sys.executable, "-c", KILLED, place, str(panel), source]
    killed = subprocess.run(command, env=environment, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL

    left = Panel(panel)
    left.verify()
    is_new = place == "remove_segments"
    assert (left.content_key == old.content_key) != is_new
    if source:
        append([source], panel, budget_bytes=400 << 20)
    else:
        compact(panel, block_rows=50)
    final = Panel(panel)
    final.verify()
    assert len(final.segments) == (3 if stage == "append" else 1)
    if not is_new:  # else there was nothing more to do, and seawall clean takes what is left
        named = {"panel.json", *(segment.folder.name for segment in final.segments)}
        assert {path.name for path in panel.iterdir()} == named, "nothing a kill left stays"


def test_a_command_killed_with_its_child_is_run_again(made: Path, tmp_path: Path) -> None:
    panel = copy(made, tmp_path)
    old = Panel(panel).content_key
    command = [sys.executable, "-m", "seawall", "append", str(made / "c.csv"), "--panel", str(panel), *MEMORY]
    for seconds in (0.5, 1.5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait()
        Panel(panel).verify()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert Panel(panel).content_key != old
    assert len(Panel(panel).segments) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.panel"]
