"""Several processes train one model: the gradients of one, the same bits after any kill, no process left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from seawall.budget.processes import descendants
from seawall.errors import StageError
from seawall.stores.panel import Panel
from seawall.stores.slots import SlotFile
from seawall.train import gang
from seawall.train.config import TrainConfig
from seawall.train.predict import predict_fold
from seawall.train.run import fit_fold, predict_fold_by_ranks
from tests.train.test_loop import wild_world
from tests.train.test_resume import history, model_files, prediction_bytes, stop_after_steps
from tests.train.test_weights import with_weights
from tests.train.worlds import World, planted_world, small_config, three_target_config

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ranks are found and watched through /proc")

TWO = {"ranks": 2, "checkpoint_seconds": 0.0, "max_epochs": 2, "batch_size": 96}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Train a world with weights of samples by two ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    whole = planted_world(folder)
    num_rows = Panel(whole.panel).shape.num_rows
    weights = np.random.default_rng(3).uniform(0, 2, num_rows).astype(np.float32)
    world = with_weights(whole, folder / "weighted", weights)
    world.fit(small_config(**TWO))
    return world


def test_the_gradient_of_two_ranks_is_that_of_one_process(world: World) -> None:
    losses: list[dict[str, object]] = [{"kind": "huber"}, {"kind": "mse"}, {"kind": "ic"}, {"kind": "pairwise_rank"}]
    configs = [
        small_config(loss=loss, ranks=2, batch_size=100, model={"hidden_size": 4, "dropout": 0.0}).model_dump_json()
        for loss in losses
    ]
    script = [sys.executable, str(Path(__file__).with_name("gradients.py"))]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), **gang.LOOPBACK}

    running = [
        subprocess.Popen([*script, rank, size, str(world.folder), *configs], env=environment)
        for rank, size in (("0", "1"), ("0", "2"), ("1", "2"))
    ]

    assert [process.wait() for process in running] == [0, 0, 0]
    alone, first, second = (
        torch.load(world.folder / f"gradients_{name}.pt") for name in ("0_of_1", "0_of_2", "1_of_2")
    )
    for of_one, of_first, of_second in zip(alone, first, second, strict=True):
        assert len(of_one) == len(of_first) > 5
        largest = max(float(gradient.abs().max()) for gradient in of_one)
        for one, two, also in zip(of_one, of_first, of_second, strict=True):
            assert torch.equal(two, also)
            assert float((one - two).abs().max()) <= 1e-6 * largest
        assert largest > 0


def test_two_ranks_learn_what_one_process_does_and_predict_the_same_bytes(world: World, tmp_path: Path) -> None:
    still = {"model": {"hidden_size": 4, "dropout": 0.0}}
    two = small_config(**TWO | still)
    fit_fold(world.panel, world.folds, 0, small_config(**TWO | still | {"ranks": 1}), tmp_path / "one")

    fit_fold(world.panel, world.folds, 0, two, tmp_path / "two")
    predict_fold_by_ranks(world.panel, world.folds, 0, two, tmp_path / "two", tmp_path / "by_two")
    predict_fold(world.panel, world.folds, 0, two, tmp_path / "two", tmp_path / "by_one")

    one_weights, two_weights = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, value in one_weights.items():
        torch.testing.assert_close(two_weights[name], value, rtol=1e-3, atol=1e-4)
    for ours, theirs in zip(history(tmp_path / "two"), history(tmp_path / "one"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
    assert prediction_bytes(tmp_path / "by_two") == prediction_bytes(tmp_path / "by_one")
    assert sorted(path.name for path in (tmp_path / "by_two").iterdir()) == ["fold_00.json", "fold_00.parquet"]


def ranks_below(pid: int) -> list[int]:
    """Find the ranks that a leader has started."""
    names = {member: Path(f"/proc/{member}/cmdline").read_bytes() for member in descendants(pid) if member != pid}
    return sorted(member for member, name in names.items() if b"seawall.train.rank" in name)


class KillOneRank:
    """Kill a rank, the next one each time, at the first report of some positions."""

    def __init__(self, *places: tuple[str, int]) -> None:
        self.places, self.num_kills = list(places), 0

    def __call__(self, substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        if self.places and (substep, done) >= self.places[0] and substep == self.places[0][0]:
            self.places.pop(0)
            os.kill(ranks_below(os.getpid())[self.num_kills % 2], signal.SIGKILL)
            self.num_kills += 1


def test_after_a_rank_was_killed_all_go_on_by_themselves_to_the_same_bits(world: World, tmp_path: Path) -> None:
    beat = KillOneRank(("epoch 0: train", 1))

    summary = fit_fold(world.panel, world.folds, 0, small_config(**TWO), tmp_path, beat=beat)

    assert summary["restarts"] == [{"cause": "rank 0 of 2 was ended by signal 9 (SIGKILL)"}]
    assert model_files(tmp_path) == model_files(world.model)
    assert history(tmp_path) == history(world.model)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in world.model.iterdir())


def test_ranks_that_die_again_and_again_are_given_up(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gang, "MOST_RESTARTS", 1)
    beat = KillOneRank(*[("choose samples", 0)] * 9)

    with pytest.raises(
        StageError, match=r"train fold 0: rank 1 of 2 was ended by signal 9 \(SIGKILL\), after 1 starts"
    ):
        fit_fold(world.panel, world.folds, 0, small_config(**TWO), tmp_path, beat=beat)

    assert beat.num_kills == 2
    assert ranks_below(os.getpid()) == []


LEADER = """
import sys
from pathlib import Path
from seawall.train.config import TrainConfig
from seawall.train.run import fit_fold
panel, folds, model = map(Path, sys.argv[1:4])
config = TrainConfig.model_validate_json(sys.argv[4])
assert "torch" not in sys.modules
fit_fold(panel, folds, 0, config, model, beat=lambda substep, *numbers, **more: print(substep, flush=True))
"""


def test_no_rank_outlives_its_leader(world: World, tmp_path: Path) -> None:
    config = small_config(**TWO | {"max_epochs": 500, "patience": 500}).model_dump_json()
    arguments = [str(world.panel), str(world.folds), str(tmp_path), config]
    with subprocess.Popen([sys.executable, "-c", LEADER, *arguments], stdout=subprocess.PIPE, text=True) as leader:
        assert leader.stdout is not None
        while "train" not in leader.stdout.readline():
            pass
        ranks = ranks_below(leader.pid)
        leader.kill()
    deadline = time.monotonic() + 5.0

    while any(is_running(rank) for rank in ranks) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert len(ranks) == 2
    assert not any(is_running(rank) for rank in ranks)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_resume_by_another_number_of_ranks_says_it_is_equal_to_rounding(world: World, tmp_path: Path) -> None:
    stop_after_steps(world, tmp_path, small_config(**TWO | {"ranks": 1}), 3)

    summary = fit_fold(world.panel, world.folds, 0, small_config(**TWO), tmp_path)

    (resumed,) = json.loads((tmp_path / "model.json").read_text())["resumed"]
    assert resumed["changed"] == {"world_size": "1 -> 2"}
    assert (resumed["epoch"], resumed["step"]) == (0, 3)
    assert summary["equality"] == "equal to rounding, not bitwise"


def test_a_loss_that_is_not_finite_on_one_rank_stops_all_with_its_batch_saved(tmp_path: Path) -> None:
    wild = wild_world(tmp_path)
    config = three_target_config(**TWO | {"loss": {"kind": "mse"}})

    with pytest.raises(StageError, match=r"epoch 0, step \d+: the loss is not finite.*The batch is in"):
        fit_fold(wild.panel, wild.folds, 0, config, wild.model)

    assert bool(torch.isinf(load_file(wild.model / "non_finite_batch.safetensors")["batch.y"]).any())


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"batch_size": 33}, "must divide evenly among 2 ranks: set it to 32"),
        ({"model": {"kind": "ridge"}}, "ridge is solved for by one process, not by 2"),
    ],
)
def test_what_ranks_cannot_share_is_refused(choice: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        small_config(**choice, ranks=2)


def test_one_rank_is_the_same_training_as_before_there_were_ranks() -> None:
    config = small_config()

    assert "ranks" not in config.semantic()
    assert TrainConfig.model_validate(config.model_dump()).of_any_ranks() == config


def test_two_writers_of_a_slot_file_keep_each_others_slots(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"num_slots": 11, "num_outputs": 1, "key": "k", "shared": True}
    values = np.arange(11, dtype=np.float32)[:, None]
    with SlotFile(tmp_path / "s", **sizes) as one, SlotFile(tmp_path / "s", **sizes) as two:
        for number in range(11):
            writer = one if number % 2 else two
            writer.write(np.array([number]), values[number : number + 1])
            writer.commit()
        assert one.is_complete
        assert two.is_complete

    with SlotFile(tmp_path / "s", **sizes) as again:
        np.testing.assert_array_equal(again.values(), values)
