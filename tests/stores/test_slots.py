"""The slot file: any order in, complete by its bitmap, continued after a kill, started anew for another key."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.arrays import Float32, Int64
from seawall.errors import ResumeError
from seawall.stores.slots import HEADER_BYTES, SlotFile


def opened(path: Path, *, num_slots: int = 21, num_outputs: int = 2, key: str = "k") -> SlotFile:
    return SlotFile(path, num_slots=num_slots, num_outputs=num_outputs, key=key)


def values_for(slots: Int64, num_outputs: int = 2) -> Float32:
    return (slots[:, None] * 10 + np.arange(num_outputs)).astype(np.float32)


def test_the_bytes_on_disk_are_those_of_the_format(tmp_path: Path) -> None:
    with opened(tmp_path / "a.slots") as slots:
        slots.write(np.array([3, 20]), values_for(np.array([3, 20])))

    raw = (tmp_path / "a.slots").read_bytes()

    assert len(raw) == HEADER_BYTES + 4 * 21 * 2 + 3
    assert json.loads(raw[:HEADER_BYTES]) == {
        "format": "seawall-slots/1",
        "num_slots": 21,
        "num_outputs": 2,
        "key": "k",
    }
    stored = np.frombuffer(raw, "<f4", 42, HEADER_BYTES).reshape(21, 2)
    assert stored[[3, 20]].tolist() == [[30.0, 31.0], [200.0, 201.0]]
    assert raw[-3:] == bytes([1 << 3, 0, 1 << 4])


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(list(range(21))), batch=st.integers(1, 21))
def test_any_order_of_batches_ends_in_the_same_values(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], batch: int
) -> None:
    with opened(tmp_path_factory.mktemp("s") / "a.slots") as slots:
        for start in range(0, 21, batch):
            assert not slots.is_complete
            assert sorted(slots.missing().tolist()) == sorted(order[start:])
            places = np.array(order[start : start + batch])
            assert not slots.written(places).any()
            slots.write(places, values_for(places))
            assert slots.written(places).all()
        assert slots.is_complete
        np.testing.assert_array_equal(slots.values(), values_for(np.arange(21)))


def test_a_slot_may_be_written_again_and_twice_in_one_batch(tmp_path: Path) -> None:
    with opened(tmp_path / "a.slots", num_slots=1) as slots:
        slots.write(np.array([0, 0]), np.array([[1, 2], [3, 4]], np.float32))
        slots.write(np.array([0]), np.array([[5, 6]], np.float32))

        assert slots.values().tolist() == [[5.0, 6.0]]


def test_written_slots_are_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path / "a.slots") as slots:
        slots.write(np.arange(5), values_for(np.arange(5)))

    with opened(tmp_path / "a.slots") as slots:
        assert slots.missing().tolist() == list(range(5, 21))
        slots.write(np.arange(5, 21), values_for(np.arange(5, 21)))
        np.testing.assert_array_equal(slots.values(), values_for(np.arange(21)))


@pytest.mark.parametrize("change", [{"key": "other"}, {"num_slots": 22}, {"num_outputs": 1}])
def test_a_file_of_another_key_or_size_is_started_anew(tmp_path: Path, change: dict[str, object]) -> None:
    with opened(tmp_path / "a.slots") as slots:
        slots.write(np.arange(21), values_for(np.arange(21)))

    with SlotFile(tmp_path / "a.slots", **({"num_slots": 21, "num_outputs": 2, "key": "k"} | change)) as slots:  # type: ignore[arg-type]
        assert len(slots.missing()) == slots.num_slots


@pytest.mark.parametrize("length", [0, 100, HEADER_BYTES, HEADER_BYTES + 50, HEADER_BYTES + 4 * 42 + 2])
def test_a_torn_file_is_started_anew(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.slots"
    with opened(path) as slots:
        slots.write(np.arange(21), values_for(np.arange(21)))
    os.truncate(path, length)

    with opened(path) as slots:
        assert len(slots.missing()) == 21


def test_values_are_refused_while_a_slot_is_missing_and_cannot_be_changed_after(tmp_path: Path) -> None:
    with opened(tmp_path / "a.slots") as slots:
        slots.write(np.arange(20), values_for(np.arange(20)))
        with pytest.raises(ResumeError, match="slots are not complete, found 1 of 21 missing"):
            slots.values()
        slots.write(np.array([20]), values_for(np.array([20])))

        with pytest.raises(ValueError, match="read-only"):
            slots.values()[0, 0] = 1.0


def test_no_slots_at_all_is_complete(tmp_path: Path) -> None:
    with opened(tmp_path / "a.slots", num_slots=0) as slots:
        assert slots.is_complete
        assert slots.values().shape == (0, 2)


def test_a_kill_never_leaves_a_bit_without_its_value(tmp_path: Path) -> None:
    script = """
        import sys, time
        from pathlib import Path
        import numpy as np
        from seawall.stores import slots as file
        file.COMMIT_SECONDS = 0.0
        slots = file.SlotFile(Path(sys.argv[1]), num_slots=100_000, num_outputs=1, key="k")
        order = np.random.default_rng(0).permutation(100_000)
        for start in range(0, 100_000, 10):
            places = order[start : start + 10]
            slots.write(places, (places[:, None] + 1).astype(np.float32))
            if start == 500:
                print("busy", flush=True)
    """
    path = tmp_path / "a.slots"
    command = [sys.executable, "-c", textwrap.dedent(script), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)

    with opened(path, num_slots=100_000, num_outputs=1) as slots:
        found = np.setdiff1d(np.arange(100_000), slots.missing())
        raw = np.memmap(path, "<f4", "r", HEADER_BYTES, (100_000,))
        assert len(found) >= 500
        np.testing.assert_array_equal(raw[found], found + 1)
