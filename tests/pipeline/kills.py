"""Kill a run with signal 9 at a seeded moment, run the same command again, and compare what comes out to the byte."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from seawall.budget.heartbeat import read_heartbeat
from seawall.budget.processes import descendants
from seawall.pipeline.manifest import RunManifest
from tests.pipeline.world import config, ohlc_market, with_search, write_market

BUDGET = "1GiB"
LINGER_SECONDS = 2.0
"""A child may outlive its killed parent by no more than this."""

START_SECONDS = 0.35
"""The parent's own time around a unit: imports, plan and lock before it, records after it."""

ARTEFACTS = (
    "small.panel/**/*",
    "folds.json",
    "models/*/model.safetensors",
    "models/*/model.json",
    "models/*/scaler.json",
    "models/*/*/*.safetensors",
    "models/*/*/model.json",
    "models/*/*/scaler.json",
    "predictions/*",
    "metrics/*",
    "backtest/**/*",
    "search/**/*",
)
"""What design calls byte-identical: not times, memory samples, logs or the report."""

WHO = ("child", "parent", "both")

SUBSTEPS = {
    "ingest": ("sample", "read and scatter", "sort and compute", "index and checksum", "checksum"),
    "folds": ("count samples", "checksum"),
    "train": ("choose samples", "fit scaler", "epoch 0: train", "epoch 9: train", "epoch 9: valid", "write model"),
    "predict": ("predict", "write predictions", "checksum"),
    "evaluate": ("dates", "write", "checksum"),
    "join": ("rows", "write", "checksum"),
    "backtest": ("backtest", "checksum"),
    "search": ("predictions", "both: base exit", "both: sweep search", "both: sweep everything", "long: weights"),
    "report": ("timeline", "records", "sections", "write", "checksum"),
}
"""What each stage reports: half of the kills wait for one of these, for most of a short stage's time is its start."""

AFTER_SECONDS = 0.02
"""Such a kill comes at a random moment up to this long after the report."""


def artefacts(folder: Path) -> dict[str, bytes]:
    """Read everything a continued run must reproduce to the byte, and what nobody should find there."""
    found = {p for pattern in ARTEFACTS for p in folder.glob(pattern) if p.is_file()}
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(found)}


def histories(folder: Path) -> list[list[dict[str, Any]]]:
    """Read the training curves without their wall times."""
    loaded = [json.loads(path.read_text())["epochs"] for path in sorted(folder.glob("models/**/history.json"))]
    return [
        [
            {key: value for key, value in epoch.items() if key not in ("seconds", "loader_wait_seconds")}
            for epoch in fold
        ]
        for fold in loaded
    ]


def alive(pids: list[int]) -> list[int]:
    """List which of these processes still run; one that waits to be reaped holds nothing any more."""
    return [pid for pid in pids if _state(pid) not in ("", "Z", "X")]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def kill(pid: int) -> None:
    """Send signal 9; a process that has just ended is left alone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@dataclass(slots=True)
class World:
    """An undisturbed run, and a copy of it that is taken apart and killed."""

    folder: Path
    settings: dict[str, Any]
    places: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of kills by (stage or what the parent did, who was killed)."""

    @classmethod
    def make(cls, folder: Path, *, trains_alone: bool = False, **train: Any) -> "World":  # noqa: ANN401 - config values
        """Run once without disturbance: every stage, or no more than training and what it needs."""
        source = write_market(folder / "market.csv", ohlc_market())
        settings = with_search(config(source, folder / "out", checkpoint_seconds=0.005))
        settings["ingest"]["checkpoint_seconds"] = 0
        settings["train"] |= {"folds": {"train": 120, "valid": 40, "test": 50}, "max_epochs": 12, "patience": 12}
        settings["train"] |= train
        for section in ("search", "backtest") if trains_alone else ():
            del settings[section]
        world = cls(folder, settings)
        world.config_path.write_text(yaml.safe_dump(settings, sort_keys=False))
        world.run_to_the_end()
        world.out.rename(folder / "undisturbed")
        shutil.copytree(folder / "undisturbed", world.out)
        return world

    @property
    def out(self) -> Path:
        """The run folder that is killed."""
        return self.folder / "out"

    @property
    def config_path(self) -> Path:
        """The config, which never changes."""
        return self.folder / "config.yaml"

    @property
    def command(self) -> list[str]:
        """What the user types, before and after a kill."""
        return [sys.executable, "-m", "seawall", "run", str(self.config_path), "--memory", BUDGET, "--quiet"]

    def units(self) -> dict[str, dict[str, Any]]:
        """Records of the undisturbed run."""
        loaded: dict[str, dict[str, Any]] = json.loads((self.folder / "undisturbed/run.json").read_text())["units"]
        return loaded

    def undo(self, unit: str) -> float:
        """Take a unit's record and files away, as if it had never run; give the seconds it took."""
        record = self.units()[unit]
        RunManifest(self.out, "small").forget([unit])
        for output in record["outputs"]:
            (self.out / output["path"]).unlink(missing_ok=True)
        if unit == "ingest":
            shutil.rmtree(self.out / "small.panel")
        return float(record["wall_seconds"])

    def start_over(self) -> float:
        """Take the whole run folder away; give the seconds the run took."""
        shutil.rmtree(self.out)
        return sum(float(record["wall_seconds"]) + 0.1 for record in self.units().values())

    def run_to_the_end(self) -> None:
        """Type the command and wait."""
        done = subprocess.run(self.command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]

    def kill_after(self, delay_seconds: float, who: str, *, substep: str = "") -> bool:
        """Type the command, kill it at a moment, and see that nothing lingers; False where it had ended before.

        The delay counts from the start, or from the first report of a sub-step.
        """
        parent = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        while substep and parent.poll() is None and substep != self._substep():
            time.sleep(0.001)
        deadline = time.monotonic() + delay_seconds
        while parent.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        while who == "child" and parent.poll() is None and len(descendants(parent.pid)) == 1:
            time.sleep(0.002)  # there is no child yet
        children = descendants(parent.pid)[1:]
        unit, was_running = self._place(), parent.poll() is None
        if was_running:
            whole = {"child": children, "parent": [parent.pid], "both": [parent.pid, *children]}
            victims = children[-1:] if who == "rank" else whole[who]
            for pid in victims:
                kill(pid)
        killed_at = time.monotonic()
        _, errors = parent.communicate(timeout=600 if who == "rank" else 60)  # where a rank dies the run goes on
        while who in ("parent", "both") and alive(children) and time.monotonic() - killed_at < LINGER_SECONDS:
            time.sleep(0.005)
        assert not alive(children), f"{children} outlived their parent, killed in {unit}"
        if who == "rank":
            self.places[(unit, who)] += was_running
            assert "Traceback" not in errors, errors[-2000:]
            return was_running
        if parent.returncode == 0:
            return False
        if who == "child":
            assert parent.returncode == 5, errors[-2000:]
            assert "signal 9" in errors, errors[-2000:]
            assert "-m seawall run" in errors, errors[-2000:]
        assert "Traceback" not in errors, errors[-2000:]
        self.places[(unit, who)] += was_running
        return was_running

    def _place(self) -> str:
        try:
            unit = json.loads((self.out / ".request.json").read_text())["unit"]
        except (OSError, ValueError):
            return "between units"
        return f"{unit.split('/')[0]}: {self._substep() or 'start'}"

    def _substep(self) -> str:
        return str(read_heartbeat(self.out / ".heartbeat.json").get("substep", ""))

    def assert_undisturbed(self, told: str) -> None:
        """Compare with the undisturbed run, and look for litter."""
        expected, found = artefacts(self.folder / "undisturbed"), artefacts(self.out)
        different = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
        assert not different, f"{told}: {sorted(different)}"
        assert histories(self.folder / "undisturbed") == histories(self.out), told
        litter = [p.name for p in self.out.rglob(".*") if p.name != ".lock"]
        litter += [p.name for p in self.out.rglob("*") if p.name.endswith((".tmp", ".slots", "checkpoint.pt"))]
        assert not litter, f"{told}: {litter}"


def kill_many(
    world: World, num_kills: int, seed: int, *, stages: tuple[str, ...] = (), who_dies: tuple[str, ...] = WHO
) -> None:
    """Kill until the count is reached: one unit undone, now and then all, killed up to three times in a row.

    With ``stages`` units of these alone are undone, now and then all of them together.
    """
    chance = random.Random(seed)
    units = sorted(unit for unit in world.units() if not stages or unit.split("/")[0] in stages)
    num_done, turn = 0, 0
    while num_done < num_kills:
        unit = units[turn % len(units)]
        everything = turn % (len(units) + 1) == len(units)
        turn += 1
        if everything:
            seconds = sum(world.undo(one) for one in units) if stages else world.start_over()
        else:
            seconds = world.undo(unit)
        told = [f"seed {seed}, turn {turn}, {'everything' if everything else unit}"]
        for _ in range(chance.randint(1, 3)):
            who, substep = chance.choice(who_dies), ""
            delay = chance.uniform(0, START_SECONDS + seconds)
            if not everything and chance.random() < 0.5:
                substep, delay = chance.choice(SUBSTEPS[unit.split("/")[0]]), chance.uniform(0, AFTER_SECONDS)
            if not world.kill_after(delay, who, substep=substep):
                break
            told.append(f"{who} {delay:.3f} s after {substep or 'start'}")
            num_done += 1
        world.run_to_the_end()
        world.assert_undisturbed(", ".join(told))
