"""Two runs never share a GPU: told by lock files alone, on a machine that may have none."""

import subprocess
import sys
from pathlib import Path

import pytest

from seawall.errors import ResumeError
from seawall.pipeline.gpu_lock import GpuLock, visible_gpus
from seawall.train.config import TrainConfig

HOLD = """
import sys
from pathlib import Path
from seawall.pipeline.gpu_lock import GpuLock
from seawall.train.config import TrainConfig
train = TrainConfig.model_validate({"target": "y", "folds": {"train": 9, "valid": 9, "test": 9}})
with GpuLock(Path(sys.argv[1]), Path(sys.argv[1]), {}) as lock:
    lock.take(train)
    print("held", flush=True)
    sys.stdin.read()
"""


def training(**choices: object) -> TrainConfig:
    folds = {"train": 9, "valid": 9, "test": 9}
    return TrainConfig.model_validate({"target": "y", "folds": folds, **choices})


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with two GPUs, as its kernel lists devices."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_second_run_on_the_same_gpu_is_refused_with_the_pid_of_the_first(machine: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(machine)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        with GpuLock(machine, machine, {}) as lock:
            with pytest.raises(ResumeError, match=f"GPU 0: another run is using it, found process {owner.pid}"):
                lock.take(training())
            lock.take(training(device="cpu"))
        with GpuLock(machine, machine, {"CUDA_VISIBLE_DEVICES": "1"}) as other:
            other.take(training())
        owner.kill()
    with GpuLock(machine, machine, {}) as lock:
        lock.take(training())


def test_each_rank_has_a_gpu_of_its_own(machine: Path) -> None:
    with GpuLock(machine, machine, {}) as lock, GpuLock(machine, machine, {}) as other:
        lock.take(training(ranks=2))
        lock.take(training(ranks=2))
        with pytest.raises(ResumeError, match="GPU 0"):
            other.take(training(ranks=2))


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, ["0", "1"]), ("1,0", ["1", "0"]), ("", []), ("-1", []), ("GPU-5a7c", ["GPU-5a7c"]), ("7", [])],
)
def test_the_gpus_of_a_run_are_those_it_may_see(machine: Path, visible: str | None, expected: list[str]) -> None:
    assert visible_gpus(machine, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == expected


def test_a_link_in_place_of_a_lock_is_not_followed(machine: Path) -> None:
    (machine / "seawall-gpu-0.lock").symlink_to(machine / "elsewhere")

    with GpuLock(machine, machine, {}) as lock, pytest.raises(ResumeError, match="a link where a lock file belongs"):
        lock.take(training())

    assert not (machine / "elsewhere").exists()
