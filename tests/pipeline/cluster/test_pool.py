"""What the parent does when nodes are lost, full, slow or too small: tried elsewhere, bounded, published once."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seawall import __version__
from seawall.budget.claims import Claim, StagePlan
from seawall.budget.limits import Budget
from seawall.budget.meter import Timeline
from seawall.errors import BudgetError, ConfigError, DataError, SeawallError, StageError
from seawall.pipeline.cluster import pool as pool_module
from seawall.pipeline.cluster.assignment import error_of, error_record
from seawall.pipeline.cluster.capsule import Capsule, capsules, mark_done
from seawall.pipeline.cluster.config import ClusterConfig
from seawall.pipeline.cluster.crew import RayCrew
from seawall.pipeline.cluster.pool import ClusterPool
from seawall.pipeline.config import parse_config
from seawall.pipeline.listener import Silent
from seawall.pipeline.manifest import RunManifest
from seawall.pipeline.stages import Unit
from seawall.pipeline.unit import UnitRun
from seawall.stores.atomic import file_checksum
from seawall.units import GIB, MIB
from tests.pipeline.world import config, market, write_market

UNITS = [Unit("train", fold) for fold in range(3)]
NODES = [{"id": name, "address": name, "cpus": 2.0, "gpus": 0.0, "memory_bytes": 4 * GIB} for name in ("a", "b")]

End = dict[str, Any]
Act = Callable[[str, int, dict[str, Any]], End | None]
"""From unit, start and order to how it ends; None: it never does."""


class Nodes(RayCrew):
    """Stands for a cluster: begins what is ordered at once, and ends it as it is told."""

    def __init__(self, act: Act, **changes: Any) -> None:  # noqa: ANN401 - values of a config
        super().__init__(ClusterConfig(address="a:1", **changes))
        self.nodes, self._act = list(NODES), act
        self.orders: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self._ends: list[dict[str, Any]] = []
        self._is_up = True
        self.connected = 0

    @property
    def is_alive(self) -> bool:
        return self._is_up

    def connect(self, wait_seconds: float = 0) -> None:
        self.connected += 1
        self._is_up = True

    def close(self, *, in_order: bool = True) -> None:
        self._is_up = False

    def order(self, order: dict[str, Any]) -> None:
        if order["order"] == "cancel":
            self.cancelled.append(order["name"])
            return
        self.orders.append(order)
        assignment, (unit, _, start) = order["assignment"], order["name"].partition("#")
        address = next((node["address"] for node in NODES if node["address"] not in order["avoid"]), "a")
        capsule = Capsule(Path(assignment["run"]), Unit(**assignment["unit"]))
        folder = capsule.take_over({"address": address})
        end = self._act(unit, int(start), order)
        if end is None:
            return
        if end == {"record": "made"}:
            end = {"record": finish(folder, assignment["key"], Unit(**assignment["unit"]))}
        self._ends.append({"news": "ended", "name": order["name"], "node": address, **end})

    def news(self, seconds: float) -> Iterator[dict[str, Any]]:
        time.sleep(0.01)
        while self._ends:
            yield self._ends.pop(0)


def finish(folder: Path, key: str, unit: Unit) -> dict[str, Any]:
    made = folder / "models" / f"fold_{unit.fold:02d}" / "model.safetensors"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(unit.name)
    output = {"path": str(made.relative_to(folder)), "bytes": made.stat().st_size, "xxh3_64": file_checksum(made)}
    record = {"stage": "train", "key": key, "outputs": [output], "summary": {}, "wall_seconds": 1.0}
    record |= {"projected_private_bytes": 1, "measured_private_bytes": 1, "declared_bytes": 1}
    mark_done(folder, key, record)
    return record


def done(unit: str, start: int, order: dict[str, Any]) -> End | None:
    return {"record": "made"}


class World:
    """A run folder with a pool on stand-in nodes."""

    def __init__(self, folder: Path, act: Act, *, claim_mib: int = 300, **cluster: Any) -> None:  # noqa: ANN401
        folder.mkdir(exist_ok=True)
        (folder / "folds.json").write_text("{}")
        settings = config(write_market(folder / "market.csv", market()), folder)
        self.folder, self.crew = folder, Nodes(act, **cluster)
        self.manifest = RunManifest(folder, "run")
        work = UnitRun(
            parse_config(settings, "test"), Budget(2 * GIB, "test", ()), Silent(), "seawall run x", self.manifest, 0
        )
        self.work = work
        self.plan = StagePlan(stage="train", private=(Claim("rows", claim_mib * MIB, "rows"),), cache=())

    def run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("seawall.pipeline.cluster.orders.Orders._panels", lambda orders: None)
        with Timeline(self.folder / "memory.csv") as timeline:
            ClusterPool(self.work, self.crew, timeline, lambda unit, room: self.plan).run([(u, "key") for u in UNITS])

    @property
    def starts(self) -> list[str]:
        return [order["name"] for order in self.crew.orders]


def test_every_unit_is_published_and_recorded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, done)
    world.run(monkeypatch)

    assert sorted(world.manifest.units) == ["train/fold_00", "train/fold_01", "train/fold_02"]
    assert (tmp_path / "models" / "fold_02" / "model.safetensors").read_text() == "train/fold_02"
    assert all(world.manifest.is_done(unit.name, "key") for unit in UNITS)
    assert list(capsules(tmp_path).glob("*")) == []


def test_what_is_asked_of_ray_is_what_the_guard_holds_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, done)
    world.run(monkeypatch)
    order = world.crew.orders[0]

    assert order["cpus"] == 1
    assert order["memory_bytes"] == GIB, "two of them have a node's budget"
    assert order["assignment"]["room_bytes"] == order["memory_bytes"] - 96 * MIB
    assert order["assignment"]["version"] == __version__
    assert not {"model", "rows", "arrays"} & set(order["assignment"]), "paths and small values alone"


def test_a_unit_whose_node_is_lost_is_begun_again_a_bounded_number_of_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(unit: str, start: int, order: dict[str, Any]) -> End:
        return {"lost": "NodeDiedError"} if unit == "train/fold_01" and start < 3 else {"record": "made"}

    world = World(tmp_path, act)
    world.run(monkeypatch)
    assert [name for name in world.starts if "fold_01" in name] == [f"train/fold_01#{start}" for start in (1, 2, 3)]

    lost = World(tmp_path / "lost", lambda unit, start, order: {"lost": "NodeDiedError"}, retries=2)
    with pytest.raises(StageError, match="the last of 3 starts"):
        lost.run(monkeypatch)


def test_a_unit_that_a_full_node_refused_goes_to_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = error_record(BudgetError("train", "no room", found="100 MiB"))

    def act(unit: str, start: int, order: dict[str, Any]) -> End:
        return {"record": "made"} if "a" in order["avoid"] else {"error": full}

    world = World(tmp_path, act)
    world.run(monkeypatch)
    assert {tuple(order["avoid"]) for order in world.crew.orders} == {(), ("a",)}


def test_a_unit_that_died_of_memory_beside_others_gets_a_node_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = error_record(StageError("train", "killed").tell("killed", (), cause="oom-own"))

    def act(unit: str, start: int, order: dict[str, Any]) -> End:
        return {"record": "made"} if order["memory_bytes"] > GIB else {"error": died}

    world = World(tmp_path, act)
    world.run(monkeypatch)
    assert sorted({order["memory_bytes"] for order in world.crew.orders}) == [GIB, 2 * GIB]

    again = World(tmp_path / "again", lambda unit, start, order: {"error": died})
    with pytest.raises(SeawallError, match="killed"):
        again.run(monkeypatch)


def test_bad_data_ends_the_run_and_what_was_not_begun_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = error_record(DataError("train", "no rows"))
    world = World(
        tmp_path, lambda unit, start, order: {"error": bad} if unit == "train/fold_00" else {"record": "made"}
    )
    with pytest.raises(DataError, match="no rows"):
        world.run(monkeypatch)
    assert len(world.starts) == 3, "it is not tried again"


def test_a_unit_that_tells_nothing_is_moved_and_its_late_end_is_not_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, lambda unit, start, order: None if start == 1 else {"record": "made"}, silent_seconds=5)
    monkeypatch.setattr("seawall.pipeline.cluster.follow.Follower.silent_seconds", property(lambda self: 6.0))
    world.run(monkeypatch)

    assert sorted(world.crew.cancelled) == [f"{unit.name}#1" for unit in UNITS]
    assert sorted(world.starts) == sorted(f"{unit.name}#{start}" for unit in UNITS for start in (1, 2))


def test_a_unit_far_slower_than_the_others_is_moved_where_a_node_is_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "YOUNG_SECONDS", 0.05)

    def act(unit: str, start: int, order: dict[str, Any]) -> End | None:
        return None if unit == "train/fold_02" and start == 1 else {"record": "made"}

    world = World(tmp_path, act, slow_factor=2)
    world.run(monkeypatch)
    assert world.crew.cancelled == ["train/fold_02#1"]
    assert world.crew.orders[-1]["avoid"] == ["a"]


def test_a_lost_head_is_reached_again_and_what_finished_meanwhile_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, done)

    def act(unit: str, start: int, order: dict[str, Any]) -> End | None:
        if unit == "train/fold_01" and start == 1:
            capsule = Capsule(tmp_path, UNITS[1]).newest
            assert capsule is not None
            finish(capsule, "key", UNITS[1])
            world.crew.close()
            return None
        return None if unit == "train/fold_02" and start == 1 else {"record": "made"}

    world.crew._act = act
    world.run(monkeypatch)
    assert world.crew.connected == 1
    assert sorted(world.starts) == ["train/fold_00#1", "train/fold_01#1", "train/fold_02#1", "train/fold_02#2"]


def test_a_unit_no_node_could_ever_take_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = World(tmp_path / "large", done, claim_mib=4000)
    with pytest.raises(BudgetError):
        large.run(monkeypatch)
    small = World(tmp_path / "small", done)
    small.crew.nodes = [node | {"memory_bytes": 200 * MIB} for node in NODES]
    with pytest.raises(BudgetError, match="no node has the memory"):
        small.run(monkeypatch)
    thin = World(tmp_path / "thin", done)
    thin.crew.nodes = [node | {"cpus": 0.0} for node in NODES]
    with pytest.raises(ConfigError, match="no node has the CPUs"):
        thin.run(monkeypatch)


def test_an_error_crosses_machines_whole() -> None:
    error = StageError("train", "killed", found="x").tell("headline", (("What", "text"),), cause="oom-own")
    again = error_of(error_record(error))
    assert (str(again), again.headline, again.rows, again.cause) == (str(error), "headline", error.rows, "oom-own")
