"""Folds side by side end in the same bytes, keep to their parts of the budget, and end in order."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

import seawall as sw
from seawall.budget.claims import Claim, StagePlan
from seawall.errors import DataError, StageError
from seawall.pipeline import side_by_side
from seawall.pipeline.config import parse_config
from seawall.pipeline.side_by_side import SideBySide, seats_of, side_folders
from seawall.pipeline.stages import Unit
from seawall.pipeline.tries import Try
from seawall.pipeline.unit import Done, Seat
from seawall.units import MIB
from tests.pipeline.world import config, market, write_market

UNITS = [Unit("train", fold) for fold in range(4)]
PLAN = StagePlan(stage="train", private=(Claim("rows", 200 * MIB, "rows"),), cache=())


def small(folder: Path, name: str, **changes: object) -> dict[str, Any]:
    source = folder / "market.csv"
    if not source.exists():
        write_market(source, market())
    settings = config(source, folder / name)
    settings.pop("backtest")
    return settings | changes


def artefacts(folder: Path) -> dict[str, bytes]:
    places = ("models/*/*", "predictions/*", "metrics/*", "folds.json")
    found = [
        path for place in places for path in sorted(folder.glob(place)) if path.name != "history.json"
    ]  # has times
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def in_turn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("side")
    sw.run(small(folder, "turn", folds_at_once=1), memory="4GiB")
    return folder


def test_folds_side_by_side_are_the_same_bytes_as_in_turn(
    in_turn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(side_by_side, "available_cores", lambda: 3)
    sw.run(small(in_turn, "beside", folds_at_once=3), memory="4GiB", progress=True)

    assert "done before" not in capsys.readouterr().err, "each fold is told once"
    assert artefacts(in_turn / "beside") == artefacts(in_turn / "turn")
    assert not side_folders(in_turn / "beside")
    units = json.loads((in_turn / "beside" / "run.json").read_text())["units"]
    for unit in units.values():
        assert unit["measured_private_bytes"] <= unit["projected_private_bytes"]
    rows = [line.split(",")[1] for line in (in_turn / "beside" / "memory.csv").read_text().splitlines()]
    trained = [row for row in rows if row.startswith("train/")]
    changes = sum(before != after for before, after in pairwise(trained))
    assert changes > 2, "their rows alternate"


def planned(unit: Unit, room_bytes: int, *, needs_mib: int, starves_below_mib: int = 0) -> StagePlan:
    neutral = {"random_access": int(room_bytes < starves_below_mib * MIB)}
    return StagePlan(stage="train", private=(Claim("rows", needs_mib * MIB, "rows"),), cache=(), neutral=neutral)


@pytest.mark.parametrize(
    ("asked", "cores", "needs_mib", "starves_below_mib", "expected"),
    [
        ("auto", 8, 100, 0, 4),  # no more than there are folds
        ("auto", 2, 100, 0, 2),
        ("auto", 1, 100, 0, 1),
        ("auto", 8, 300, 0, 3),  # 1,000 MiB hold three of them
        ("auto", 8, 600, 0, 1),
        ("auto", 8, 100, 400, 2),  # of three, each would have to read its windows from disk
        (3, 1, 100, 0, 3),
        (3, 1, 400, 0, 2),
        (1, 8, 100, 0, 1),
    ],
)
def test_as_many_seats_as_folds_cores_and_budget_allow(
    asked: Any,  # noqa: ANN401 - a value of the config
    cores: int,
    needs_mib: int,
    starves_below_mib: int,
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(side_by_side, "available_cores", lambda: cores)
    monkeypatch.setattr(side_by_side, "_has_gpu", lambda: False)
    plan_for = partial(planned, needs_mib=needs_mib, starves_below_mib=starves_below_mib)
    parsed = parse_config(small(tmp_path, "x", folds_at_once=asked), "test")

    assert seats_of(parsed, UNITS, plan_for, 1000 * MIB) == expected


def test_folds_on_a_gpu_follow_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_has_gpu", lambda: True)
    monkeypatch.setattr(side_by_side, "available_cores", lambda: 8)
    plan_for = partial(planned, needs_mib=10)

    assert seats_of(parse_config(small(tmp_path, "x"), "test"), UNITS, plan_for, 1000 * MIB) == 1


class Work:
    """Stands for the children: notes who ran beside whom, and ends as it is told."""

    def __init__(self, folder: Path, errors: dict[int, BaseException], seats: int = 2) -> None:
        self.errors, self.running, self.most, self.begun = errors, 0, 0, list[int]()
        self.recorded: list[int | None] = []
        self.side = SideBySide(folder, seats, 100, self.do, lambda done: self.recorded.append(done.unit.fold))

    def do(self, unit: Unit, key: str, seat: Seat) -> Done:
        assert unit.fold is not None
        self.begun.append(unit.fold)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for _ in range(20):
                time.sleep(0.01)
                if stop := seat.asked_to_stop():
                    raise stop
            if unit.fold in self.errors:
                raise self.errors[unit.fold]
        finally:
            self.running -= 1
        return Done(unit, key, Try(PLAN), {})

    def run(self) -> list[int | None]:
        return [unit.fold for unit, _ in self.side.run([(unit, "key") for unit in UNITS])]


def test_a_fold_that_dies_of_memory_is_left_for_later_and_the_others_go_on(tmp_path: Path) -> None:
    died = StageError("train/fold_01", "was killed").tell("killed", (("What happened", "x"),), cause="oom-own")
    work = Work(tmp_path, {1: died})

    assert work.run() == [1]
    assert sorted(work.recorded, key=str) == [0, 2, 3]
    assert work.most == 2


def test_a_fold_that_fails_lets_the_running_one_finish_and_begins_no_other(tmp_path: Path) -> None:
    work = Work(tmp_path, {0: DataError("train", "no rows")})

    with pytest.raises(DataError, match="no rows"):
        work.run()
    assert work.recorded == [1]
    assert sorted(work.begun) == [0, 1]
    assert side_folders(tmp_path), "what it printed is still there"


def wait_for(folder: Path, pattern: str, number: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(folder.glob(pattern))) < number:
        assert time.monotonic() < deadline, pattern
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_by_hand_or_killed_the_run_goes_on_to_the_same_bytes(
    in_turn: Path, tmp_path: Path, number: signal.Signals
) -> None:
    output = in_turn / f"stopped-{number.name}"
    settings = small(in_turn, output.name, folds_at_once=2)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    command = [sys.executable, "-m", "seawall", "run", str(path), "--memory", "2GiB", "--quiet"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        wait_for(output, ".side_1/.heartbeat.json", 1)
        os.kill(run.pid, number)
        said = run.communicate()[1]
    assert run.returncode == (130 if number == signal.SIGINT else -9)
    assert number == signal.SIGKILL or "Continue with" in said
    children = subprocess.run(["pgrep", "-f", str(output)], capture_output=True, text=True, check=False).stdout.split()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < deadline, "no child lingers"
        time.sleep(0.05)

    again = subprocess.run(command[:-1], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert artefacts(output) == artefacts(in_turn / "turn")
    assert not side_folders(output)
    if number == signal.SIGKILL:
        assert again.stderr.count("the last start ended in") == 2, "both are explained"
