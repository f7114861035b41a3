"""After a death of memory: never the plan that died, not for ever, and nobody else's memory is taken."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.budget.claims import Claim, StagePlan
from seawall.budget.limits import Budget, Reserve, find_budget, room_now
from seawall.errors import BudgetError, ConfigError, StageError
from seawall.pipeline import supervise, unit
from seawall.pipeline.config import parse_config
from seawall.pipeline.manifest import RunManifest
from seawall.pipeline.run import Order, Runner, Silent
from seawall.pipeline.supervise import Job
from seawall.pipeline.tries import MICRO_BATCHES, ROUNDING, tries
from seawall.units import GIB, MIB
from tests.budget.trees import V1_MOUNTS, v1_group, write_tree

BUDGET = "2GiB"


def planner(*, smallest: dict[str, int], usual: dict[str, int]) -> Any:  # noqa: ANN401 - a plain function
    def replan(is_smallest: bool, micro_batches: int) -> StagePlan:
        claim = Claim("activations", 100 * MIB // micro_batches, "batch x lookback")
        return StagePlan(stage="train", private=(claim,), neutral=smallest if is_smallest else usual)

    return replan


def test_neutral_knobs_come_before_micro_batches() -> None:
    ways = list(tries(planner(smallest={"slab_rows": 10}, usual={"slab_rows": 90}), can_split_batches=True))

    assert [(way.plan.neutral["slab_rows"], way.micro_batches) for way in ways] == [(90, 1), (10, 1), (10, 2), (10, 4)]
    assert ways[1].change == "with smaller knobs that change no result (slab_rows 90 to 10)"
    assert ROUNDING in ways[2].change


@given(
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 3)),
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 3)),
    st.booleans(),
)
def test_no_way_is_tried_twice_and_there_are_few(usual: dict[str, int], smallest: dict[str, int], split: bool) -> None:
    ways = list(tries(planner(smallest=smallest, usual=usual), can_split_batches=split))

    seen = [(tuple(sorted(way.plan.neutral.items())), way.micro_batches) for way in ways]
    assert seen[0] == (tuple(sorted(usual.items())), 1)
    assert seen[0] not in seen[1:]
    assert len(ways) <= 2 + len(MICRO_BATCHES)


@pytest.fixture
def settings(finished_run: tuple[Path, dict[str, Any]], tmp_path: Path) -> dict[str, Any]:
    shutil.copytree(finished_run[0], tmp_path / "out")
    return {**finished_run[1], "output": str(tmp_path / "out")}


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def noted(self, text: str) -> None:
        self.lines.append(text)


class DiesFirst:
    """Kill the first tries of one unit as if memory had run out, then let the real child work."""

    def __init__(self, unit_name: str, num_deaths: int, cause: str = "oom-own") -> None:
        self.unit, self.left, self.cause = unit_name, num_deaths, cause
        self.jobs: list[Job] = []

    def __call__(self, job: Job, *rest: Any) -> dict[str, Any]:  # noqa: ANN401 - passed on
        self.jobs.append(job)
        if job.name == self.unit and self.left:
            self.left -= 1
            raise StageError(job.name, "killed").tell(f"{job.name}: killed", (("Where", "here"),), cause=self.cause)
        return supervise.run_job(job, *rest)


def run_again(
    settings: dict[str, Any], dies: DiesFirst, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Any], Notes]:
    folder, notes = Path(settings["output"]), Notes()
    RunManifest(folder, "small").forget([dies.unit])
    monkeypatch.setattr(unit, "run_job", dies)
    runner = Runner(parse_config(settings, "config"), find_budget(BUDGET), notes, Order(command="seawall run c.yaml"))
    try:
        runner.run()
    finally:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text())["units"].get(dies.unit, {})
    return record, notes


def outputs(record: dict[str, Any]) -> list[Any]:
    return [(output["path"], output["xxh3_64"]) for output in record["outputs"]]


def test_a_backtest_that_died_is_done_with_smaller_slabs_and_equal_files(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = json.loads((Path(settings["output"]) / "run.json").read_text())["units"]["backtest"]
    dies = DiesFirst("backtest", 1)

    record, notes = run_again(settings, dies, monkeypatch)

    assert outputs(record) == outputs(before)
    assert [one["change"] for one in record["tries"]] == ["as planned"]
    first, second = (job.plan.neutral["slab_rows"] for job in dies.jobs if job.name == "backtest")
    assert second < first
    assert any("smaller knobs that change no result (slab_rows" in line for line in notes.lines)


def test_an_ingest_that_died_is_done_with_smaller_buckets_and_equal_files(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = json.loads((Path(settings["output"]) / "run.json").read_text())["units"]["ingest"]
    dies = DiesFirst("ingest", 1)

    record, _ = run_again(settings, dies, monkeypatch)

    arrays = [one for one in outputs(record) if one[0].endswith(".npy")]
    assert arrays == [one for one in outputs(before) if one[0].endswith(".npy")]
    assert [job.request["knob_bytes"] for job in dies.jobs if job.name == "ingest"][-1] == 0


def test_training_that_died_twice_goes_on_in_micro_batches_and_says_so(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    from safetensors.numpy import load_file

    folder = Path(settings["output"])
    model = folder / "models" / "fold_00" / "model.safetensors"
    before = load_file(model)
    dies = DiesFirst("train/fold_00", 2, "stopped-memory")

    record, notes = run_again(settings, dies, monkeypatch)

    assert record["micro_batches"] == 2
    assert record["equality"] == "equal to rounding, not bitwise"
    assert [one["cause"] for one in record["tries"]] == ["stopped-memory"] * 2
    assert json.loads((folder / "models/fold_00/model.json").read_text())["micro_batches"] == 2
    after = load_file(model)
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=0, atol=2e-4)
    assert any("each batch in 2 parts" in line for line in notes.lines)


def test_a_stage_that_dies_every_way_stops_and_lists_what_was_tried(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = DiesFirst("train/fold_00", 99)

    with pytest.raises(StageError) as caught:
        run_again(settings, dies, monkeypatch)

    tried = [text for name, text in caught.value.rows if name == "Tried"]
    assert 2 <= len(dies.jobs) <= 4
    assert len(tried) == len(dies.jobs) - 1
    rows = dict(caught.value.rows)
    assert rows["Continue with:"] == "seawall run c.yaml"
    assert "units are safe: " in rows["Finished"]


@pytest.mark.parametrize("cause", ["killed", "bug", "disk-full", "livelock", "terminated"])
def test_only_memory_is_tried_again(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, cause: str) -> None:
    dies = DiesFirst("join", 99, cause)

    with pytest.raises(StageError):
        run_again(settings, dies, monkeypatch)

    assert len(dies.jobs) == 1


def test_others_who_have_grown_make_the_knobs_smaller_and_the_files_stay_equal(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = json.loads((Path(settings["output"]) / "run.json").read_text())["units"]["backtest"]
    monkeypatch.setattr(unit, "own_private_bytes", lambda: 30 * MIB)
    monkeypatch.setattr(unit, "room_now", lambda reserve, own: ("available memory", 330 * MIB))

    record, _ = run_again(settings, DiesFirst("backtest", 0), monkeypatch)

    assert outputs(record) == outputs(before)


def test_where_even_the_smallest_knobs_do_not_fit_it_stops_and_says_who_holds_memory(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = DiesFirst("backtest", 0)
    monkeypatch.setattr(unit, "own_private_bytes", lambda: 30 * MIB)
    monkeypatch.setattr(unit, "room_now", lambda reserve, own: ("available memory less the reserve", 40 * MIB))

    with pytest.raises(BudgetError, match=r"others have left less, found room for 40\.0 MiB") as caught:
        run_again(settings, dies, monkeypatch)

    rows = dict(caught.value.rows)
    assert caught.value.exit_code == 3
    assert dies.jobs == []
    assert "was available" in rows["Other processes"]
    assert rows["Continue with:"] == "seawall run c.yaml"


def machine(root: Path, *, limit: int, held: int) -> Path:
    """10 GiB available, and a container with a limit of which ``held`` is taken."""
    group = v1_group("sys/fs/cgroup/memory/app", limit=limit, held=held)
    above = v1_group("sys/fs/cgroup/memory")
    return write_tree(root, {"proc/self/cgroup": "4:memory:/app\n", "proc/self/mountinfo": V1_MOUNTS, **group, **above})


def test_the_reserve_is_left_of_available_memory(tmp_path: Path) -> None:
    root = machine(tmp_path, limit=100 * GIB, held=0)

    budget = find_budget(None, reserve=Reserve("9GiB"), root=root)

    assert budget.bytes == 1 * GIB
    assert budget.rule == "available memory less a reserve of 9.0 GiB"
    assert budget.reserve_bytes == 9 * GIB


def test_a_declared_budget_yields_to_the_reserve_and_not_the_other_way_round(tmp_path: Path) -> None:
    root = machine(tmp_path, limit=100 * GIB, held=0)

    assert find_budget("4GiB", reserve=Reserve("9GiB"), root=root).bytes == 1 * GIB
    assert find_budget("4GiB", reserve=Reserve("2GiB"), root=root).rule == "--memory"
    assert find_budget("4GiB", reserve=Reserve(None, "9GiB"), root=root).bytes == 1 * GIB
    assert find_budget("4GiB", reserve=Reserve("1GiB", "9GiB"), root=root).bytes == 4 * GIB


def test_a_reserve_is_a_size_with_a_binary_unit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--reserve: not a size, found '800MB'"):
        find_budget(None, reserve=Reserve("800MB"), root=tmp_path)


def test_the_room_of_this_moment_counts_what_processes_hold_and_gives_the_run_its_own_back(tmp_path: Path) -> None:
    root = machine(tmp_path, limit=1 * GIB, held=400 * MIB)  # 3/4 of it private and shared, the rest the kernel's

    rule, room = room_now(0, 50 * MIB, root=root)

    assert rule == "memory.limit_in_bytes of the container /app"
    assert room == 1 * GIB - 300 * MIB + 50 * MIB


def test_the_room_of_this_moment_leaves_the_reserve(tmp_path: Path) -> None:
    root = machine(tmp_path, limit=100 * GIB, held=0)

    assert room_now(8 * GIB, 0, root=root) == ("available memory less the reserve", 2 * GIB)
    assert room_now(0, 0, root=root) == ("available memory", 10 * GIB)


def test_a_budget_without_a_reserve_has_none() -> None:
    assert Budget(1, "rule", ()).reserve_bytes == 0
