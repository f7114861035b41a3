"""What happens between 85 % of the budget and a death: asked to shrink, stopped in order, leaks and circles named."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seawall.budget import guard
from seawall.budget.claims import Claim, StagePlan
from seawall.budget.fence import probe
from seawall.budget.guard import Growth, Guard
from seawall.budget.processes import own_private_bytes
from seawall.budget.relief import Relief, read_requests, write_requests
from seawall.pipeline.attempt import end_attempt, what_was_left
from seawall.units import GIB, MIB
from tests.cgroups import memory_cgroup
from tests.pipeline.injection import Stage, end_of, left_in, rows_of, run_stage

ROOT = Path(__file__).resolve().parents[2]
HAS_CGROUP = probe()[0].startswith("cgroup: yes")
PLAN = StagePlan(stage="train", private=(Claim("rows", 100 * MIB, "rows x 8 B"),))
READING = StagePlan(
    stage="train", private=(Claim("rows", MIB, "rows x 8 B"),), reads=(Claim("windows", GIB, "every page cold"),)
)


def decisions(held_mib: list[int], *, seconds: float = 0.05) -> list[str]:
    watched = Guard(PLAN, 1000 * MIB, lambda: None)
    return [watched.decide(held * MIB, number * seconds) for number, held in enumerate(held_mib)]


def test_a_stage_is_asked_at_85_percent_and_stopped_at_95() -> None:
    assert decisions([500, 850, 851, 949, 951]) == ["", "", "shrink", "", "stop"]


def test_it_is_asked_again_ever_more_rarely_while_it_stays_there() -> None:
    asked = [number * 0.05 for number, what in enumerate(decisions([900] * 1400)) if what == "shrink"]

    assert [round(seconds) for seconds in asked] == [0, 1, 3, 7, 15, 31, 63]


def test_it_is_asked_where_others_need_their_reserve() -> None:
    watched = Guard(PLAN, 1000 * MIB, lambda: None)

    assert watched.decide(10 * MIB, 0.0, others_need=True) == "shrink"
    assert watched.decide(10 * MIB, 0.1, others_need=True) == ""


@pytest.mark.parametrize(("read_gib", "decision"), [(13.9, ""), (14.1, "livelock")])
def test_reads_far_above_the_plan_stop_the_stage(read_gib: float, decision: str) -> None:
    watched = Guard(READING, GIB, lambda: int(read_gib * GIB))

    assert watched.allowed_read_bytes == 14 * GIB
    assert watched.decide(MIB, 0.0) == decision


def test_a_stage_that_plans_no_reads_is_never_said_to_read_too_much() -> None:
    assert Guard(PLAN, GIB, lambda: 1000 * GIB).decide(MIB, 0.0) == ""


def test_samples_come_half_as_often_where_a_stage_stands_still_and_no_decision_can_come_later() -> None:
    watched = Guard(PLAN, 1000 * MIB, lambda: None, num_cores=2)
    waits = {}
    for number in range(80):
        held_mib = 100 + 50 * (number >= 40)
        watched.decide(held_mib * MIB + number % 2, now := number * 0.045)
        waits[number] = watched.wait_seconds(now, 0.045)

    assert {number for number, seconds in waits.items() if seconds == 0.09} == {*range(23, 40), *range(63, 80)}
    reach_mib = 2 * 0.045 * 3e9 / MIB
    for held_mib in (500, 600, 840):
        watched = Guard(PLAN, 1000 * MIB, lambda: None, num_cores=2)
        for number in range(40):
            watched.decide(held_mib * MIB, number * 0.045)
        assert (watched.wait_seconds(40 * 0.045, 0.045) == 0.09) == (held_mib + 1 + reach_mib <= 850)


def test_growth_is_told_over_half_a_minute_and_not_longer() -> None:
    growth = Growth()
    for second in range(100):
        growth.add(float(second), second * 2 * MIB)

    assert growth.words() == "grew by 2.0 MiB a second over its last 30 s"
    assert len(growth) <= 32


def test_growth_within_one_second_is_told_as_an_amount() -> None:
    growth = Growth()
    growth.add(0.0, MIB)
    growth.add(0.5, 101 * MIB)

    assert growth.words() == "grew by 100 MiB in its last 0.5 s"


def test_relief_answers_each_request_once(tmp_path: Path) -> None:
    relief = Relief(tmp_path / "shrink.json")
    assert not relief.answer()

    write_requests(tmp_path / "shrink.json", 2)

    assert relief.answer()
    assert not relief.answer()
    assert relief.num_requests == 2


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5"])
def test_a_damaged_request_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "shrink.json").write_text(text)

    assert read_requests(tmp_path / "shrink.json") == 0


def test_freed_memory_is_given_back_at_85_percent_and_the_stage_lives(tmp_path: Path) -> None:
    """5,000 arrays of 60 KiB, each second one dropped: glibc keeps them all until it is asked."""
    body = (
        "import time, ctypes\n"
        "ctypes.CDLL(None).mallopt(-1, 1 << 30)\n"  # M_TRIM_THRESHOLD: keep everything that is freed
        "kept = [bytearray(60_000) for _ in range(4600)]\n"
        "kept = kept[::20]\n"
        "from seawall.budget.heartbeat import asked_to_shrink\n"
        "for number in range(60):\n"
        "    time.sleep(0.05); beat('keep', number, 60)\n"
        "    if asked_to_shrink(beat): break\n"
        "assert asked_to_shrink(beat) >= 1\n"
    )

    # The shares are of the whole budget: what this test process holds must not eat into those of the stage.
    room_mib = 290 + own_private_bytes() * 5 // 95 // MIB
    result = run_stage(Stage(body, room_mib=room_mib), tmp_path / "run")

    assert result["num_shrinks"] >= 1
    assert result["ok"]


LEAK = """
import time
kept = []
for number in range(4000):
    kept.append(bytearray({step}))
    beat('epoch 0: train', number, 4000)
    time.sleep({pause})
"""


def test_a_slow_leak_is_stopped_in_order_and_named(tmp_path: Path) -> None:
    error = end_of(Stage(LEAK.format(step="2 << 20", pause=0.015), room_mib=260), tmp_path / "run")

    rows = rows_of(error)
    assert error.cause == "stopped-memory"
    assert "epoch 0: train" in rows["Where"]
    assert rows["Growth"].startswith("grew by ")
    assert "MiB a second" in rows["Growth"]
    assert rows["Largest claim"] == "kept rows (100 MiB: rows x columns x 8 B)"
    assert "blocks of Python objects" in rows["Held by"]


def test_a_fast_leak_is_a_named_memory_error_at_the_fence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "STOP_SHARE", 1e9)
    stage = Stage(LEAK.format(step="200 << 20", pause=0), strongest="data limit")

    error = end_of(stage, tmp_path / "run")

    assert error.cause == "memory-fence"
    assert "at line 5 of injected.py" in rows_of(error)["Where"]
    assert "data limit (RLIMIT_DATA)" in rows_of(error)["Fence"]


RANDOM_READS = """
import mmap, os, random, time
path = request['file']
descriptor = os.open(path, os.O_RDONLY)
mapped = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
if request['advice']:
    mapped.madvise(mmap.MADV_RANDOM)
random.seed(0)
deadline = time.monotonic() + 20
for number in range(request['num_reads']):
    mapped[random.randrange(len(mapped) >> 12) << 12]
    if number % 100 == 0:
        beat('gather', number, request['num_reads'])
    if time.monotonic() > deadline:
        break
"""


@pytest.fixture
def cold_file(tmp_path: Path) -> Path:
    """400 MiB on disk, none of it in the cache."""
    path = tmp_path / "features.npy"
    with path.open("wb") as file:
        for _ in range(100):
            file.write(os.urandom(4 * MIB))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if share := _cached_share(path):
        pytest.skip(f"this file system keeps {share:.0%} of a file in its cache that it was asked to drop")
    return path


def _cached_share(path: Path) -> float:
    """Probe a hundred pages for one that can be read without waiting for the disk."""
    places = range(0, path.stat().st_size, path.stat().st_size // 100)
    with path.open("rb") as file:
        return sum(_is_cached(file.fileno(), place) for place in places) / len(places)


def _is_cached(descriptor: int, place: int) -> bool:
    try:
        return os.preadv(descriptor, [bytearray(1)], place, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False


def reading(path: Path, num_reads: int, *, advice: bool) -> Stage:
    reads = (Claim("windows", num_reads * 4096, "every page cold"),)
    facts = {"file": str(path), "num_reads": num_reads, "advice": advice}
    return Stage(RANDOM_READS, private_mib=40, room_mib=64, reads=reads, facts=facts)


@pytest.mark.cgroup
@pytest.mark.skipif(not HAS_CGROUP, reason=probe()[0])
def test_random_reads_of_a_default_mapping_in_a_small_cgroup_are_stopped_as_a_circle(
    cold_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "READS_FLOOR_BYTES", 16 * MIB)

    error = end_of(reading(cold_file, 20_000, advice=False), tmp_path / "run")

    assert error.cause == "livelock"
    assert "78.1 MiB planned at worst" in rows_of(error)["What happened"]
    assert "read the same data from disk again and again" in error.headline


@pytest.mark.cgroup
@pytest.mark.skipif(not HAS_CGROUP, reason=probe()[0])
def test_the_same_reads_without_read_ahead_end_well_though_every_page_is_cold(
    cold_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "READS_FLOOR_BYTES", 16 * MIB)

    result = run_stage(reading(cold_file, 20_000, advice=True), tmp_path / "run")

    assert result["ok"]
    assert 0 < result["read_bytes"] <= 20_000 * 4096 + 16 * MIB


PARENT = """
from pathlib import Path
from tests.pipeline.injection import Stage, run_stage
body = "import os, time; open({pid!r}, 'w').write(str(os.getpid())); beat('epoch 1: train', 3, 9); time.sleep(60)"
run_stage(Stage(body), Path({folder!r}))
"""


def lost_parent(folder: Path) -> int:
    """Start a run, kill its parent alone, and give the stage's pid."""
    folder.mkdir()
    pid_file = folder / "pid"
    script = PARENT.format(pid=str(pid_file), folder=str(folder))
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) as parent:
        deadline = time.monotonic() + 30
        while not (folder / ".heartbeat.json").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(1.6)  # the timeline reaches the disk every second
        os.kill(parent.pid, signal.SIGKILL)
    return int(pid_file.read_text())


def test_a_stage_does_not_outlive_its_parent_and_the_next_start_tells_it_from_disk(tmp_path: Path) -> None:
    stage_pid = lost_parent(tmp_path / "run")

    deadline = time.monotonic() + 5
    while Path("/proc", str(stage_pid)).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path("/proc", str(stage_pid)).exists()
    left = what_was_left(tmp_path / "run")

    assert left is not None
    rows = dict(left.rows)
    assert (left.unit, left.cause) == ("train/fold_02", "parent-lost")
    assert rows["Where"] == "in sub-step 'epoch 1: train' (3 of 9 done)"
    assert rows["Largest claim"] == "kept rows (100 MiB: rows x columns x 8 B)"
    assert rows["Memory"].startswith("high-water mark ")
    assert not rows["Memory"].startswith("high-water mark 0")
    assert "began 20" in rows["Last seen"]


@pytest.mark.parametrize(
    ("change", "cause"),
    [({"boot": "another"}, "machine-restarted"), ({"kills": {"levels": [], "machine": -1}}, "group-oom")],
)
def test_the_next_start_tells_a_restart_and_a_kill_of_everything_apart(
    tmp_path: Path, change: dict[str, object], cause: str
) -> None:
    lost_parent(tmp_path / "run")
    record = left_in(tmp_path / "run")
    (tmp_path / "run" / ".attempt.json").write_text(json.dumps(record | change))

    left = what_was_left(tmp_path / "run")

    assert left is not None
    assert left.cause == cause


@pytest.mark.cgroup
def test_a_kill_of_parent_and_stage_together_is_told_from_the_containers_counter(tmp_path: Path) -> None:
    """The container's memory is filled by the parent, which the kernel then takes; its stage goes with it."""
    script = (
        "import threading, time\nfrom pathlib import Path\n"
        "from tests.pipeline.injection import Stage, run_stage\n"
        "def fill():\n    time.sleep(1.5); open('/proc/self/oom_score_adj', 'w').write('1000')\n"
        "    x = bytearray(400 << 20); x[::4096] = b'1' * len(x[::4096])\n"
        "threading.Thread(target=fill, daemon=True).start()\n"
        "body = \"import time; open('/proc/self/oom_score_adj', 'w').write('0'); beat('sort', 1, 2); time.sleep(60)\"\n"
        f"run_stage(Stage(body, room_mib=2000, strongest='data limit'), Path({str(tmp_path / 'run')!r}))\n"
    )
    with memory_cgroup(200 * MIB) as container:
        ended = container.run([sys.executable, "-c", script], timeout=60, cwd=ROOT)
        left = what_was_left(tmp_path / "run")

    assert ended.returncode == -9, ended.stderr
    assert left is not None
    assert left.cause == "group-oom"
    assert "count of kills for memory rose in" in dict(left.rows)["What happened"]


def test_what_the_last_start_could_explain_itself_is_said_in_its_own_words(tmp_path: Path) -> None:
    error = end_of(Stage("beat('fit')\n1/0"), tmp_path / "run")

    left = what_was_left(tmp_path / "run")

    assert left is not None
    assert (left.cause, left.headline, left.rows) == ("bug", error.headline, error.rows)
    end_attempt(tmp_path / "run", None)
    assert what_was_left(tmp_path / "run") is None
