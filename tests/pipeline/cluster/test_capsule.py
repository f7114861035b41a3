"""A unit on a node writes into its own folder; a later start shuts earlier ones out; its files are published once."""

import threading
from pathlib import Path
from typing import Any

import pytest

from seawall.errors import StageError
from seawall.pipeline.cluster.capsule import Capsule, capsules, give_back, mark_done
from seawall.pipeline.stages import Unit
from seawall.stores.atomic import file_checksum

UNIT = Unit("train", 3)
NODE = {"address": "10.0.0.2", "host": "b"}


@pytest.fixture
def capsule(tmp_path: Path) -> Capsule:
    (tmp_path / "folds.json").write_text("{}")
    made = Capsule(tmp_path, UNIT)
    made.prepare()
    return made


def finish(start: Path, text: str = "weights", key: str = "key") -> dict[str, Any]:
    made = start / "models" / "fold_03" / "model.safetensors"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(text)
    path = str(made.relative_to(start))
    record = {"outputs": [{"path": path, "bytes": len(text), "xxh3_64": file_checksum(made)}]}
    mark_done(start, key, record)
    return record


def test_a_later_start_shuts_the_earlier_one_out(capsule: Capsule) -> None:
    first = capsule.take_over(NODE)
    (first / "checkpoint.pt").write_text("half")
    second = capsule.take_over(NODE | {"address": "10.0.0.3"})

    assert (second / "checkpoint.pt").read_text() == "half", "it goes on from what the first has left"
    assert capsule.node()["address"] == "10.0.0.3"
    with pytest.raises(FileNotFoundError):
        finish_nothing(first)


def finish_nothing(start: Path) -> None:
    mark_done(start, "key", {"outputs": []})


def test_of_many_starts_at_once_each_has_a_folder_of_its_own_or_none(capsule: Capsule) -> None:
    taken: list[Path] = []
    threads = [threading.Thread(target=lambda: taken.append(capsule.take_over(NODE))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(taken)) == 8
    assert [path for path in taken if path.exists()] == [capsule.newest]


def test_what_a_finished_unit_has_made_is_moved_to_its_place_once(capsule: Capsule, tmp_path: Path) -> None:
    record = finish(capsule.take_over(NODE))
    stale = tmp_path / "models" / "fold_03" / "old.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier config")

    capsule.publish(record, tmp_path / "x.panel")
    capsule.publish(record, tmp_path / "x.panel")  # as after a kill between the move and the record
    capsule.remove()

    assert (tmp_path / "models" / "fold_03" / "model.safetensors").read_text() == "weights"
    assert not stale.exists()
    assert not capsules(tmp_path).exists()


def test_a_finished_unit_whose_file_is_gone_is_not_published(capsule: Capsule, tmp_path: Path) -> None:
    start = capsule.take_over(NODE)
    record = finish(start)
    (start / "models" / "fold_03" / "model.safetensors").unlink()

    with pytest.raises(StageError, match="is gone"):
        capsule.publish(record, tmp_path / "x.panel")


def test_only_the_word_of_the_present_start_with_the_present_key_counts(capsule: Capsule) -> None:
    record = finish(capsule.take_over(NODE))
    assert capsule.finished("key") == record
    assert capsule.finished("another key") is None

    capsule.take_over(NODE)
    assert capsule.finished("key") is None


def test_what_was_begun_here_goes_on_there_and_back(tmp_path: Path) -> None:
    (tmp_path / "folds.json").write_text("{}")
    checkpoint = tmp_path / "models" / "fold_03" / "checkpoint.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("half")
    capsule = Capsule(tmp_path, UNIT)
    capsule.prepare()
    start = capsule.take_over(NODE)
    assert (start / "models" / "fold_03" / "checkpoint.pt").read_text() == "half"
    assert not checkpoint.exists()

    give_back(tmp_path, [UNIT, Unit("train", 4)])
    assert checkpoint.read_text() == "half"
    assert not capsules(tmp_path).exists()


def test_a_run_that_was_cleaned_away_takes_no_more_starts(capsule: Capsule) -> None:
    capsule.remove()
    with pytest.raises(StageError, match="cleaned"):
        capsule.take_over(NODE)


def test_slots_of_predictions_are_moved_by_name(tmp_path: Path) -> None:
    (tmp_path / "folds.json").write_text("{}")
    (tmp_path / "predictions").mkdir()
    for number in (1, 11):
        (tmp_path / "predictions" / f"fold_{number:02d}.slots").write_text(str(number))
    capsule = Capsule(tmp_path, Unit("predict", 1))
    folder = capsule.prepare()

    assert (folder / "predictions" / "fold_01.slots").read_text() == "1"
    assert (tmp_path / "predictions" / "fold_11.slots").exists()
