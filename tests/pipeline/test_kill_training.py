"""Signal 9 while models are trained: within epochs, during a save, between folds; alone, with seeds, and as two ranks.

``make test-resume`` runs fifty kills of each; the default tests a seeded few. The continued run has the same models,
predictions and metrics to the byte.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.kills import WHO, World, kill_many

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are found and watched through /proc")

MANY = 50
FEW = 2

ONE_FOLD: dict[str, Any] = {"folds": {"train": 130, "valid": 60, "test": 60}, "max_epochs": 6}
SHORT: dict[str, Any] = {"max_epochs": 6, "patience": 6}


def shown(places: Mapping[tuple[str, str], int]) -> None:
    for (place, who), count in sorted(places.items()):
        print(f"{place:<40} {who:<8} {count}")


def test_a_few_kills_of_two_ranks_change_no_artefact(tmp_path: Path) -> None:
    """The same run also shows ``seawall run`` with two ranks from a table to a report."""
    world = World.make(tmp_path, trains_alone=True, ranks=2, device="cpu", **ONE_FOLD)

    kill_many(world, FEW, seed=5, stages=("train",), who_dies=("rank", "both"))

    assert (world.out / "report.html").is_file()
    assert sum(world.places.values()) >= FEW


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "train",
    [SHORT, SHORT | {"seeds": 2, "baselines": ["ridge", "last_value"]}],
    ids=["one model a fold", "two seeds and baselines"],
)
def test_fifty_kills_change_no_model(tmp_path: Path, train: dict[str, Any]) -> None:
    world = World.make(tmp_path, trains_alone=True, **train)

    kill_many(world, MANY, seed=7, stages=("train", "predict"))

    shown(world.places)
    assert {who for _, who in world.places} == set(WHO)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_kills_of_two_ranks_change_no_model(tmp_path: Path) -> None:
    world = World.make(tmp_path, trains_alone=True, ranks=2, device="cpu", **SHORT)

    kill_many(world, MANY, seed=9, stages=("train",), who_dies=("rank", *WHO))

    shown(world.places)
    assert {who for _, who in world.places} == {"rank", *WHO}
