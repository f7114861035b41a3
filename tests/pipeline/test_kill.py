"""Signal 9 at random moments over all stages, to child, parent or both: the continued run is the undisturbed one.

``make test-kill`` runs two hundred; the default tests a seeded dose.
"""

import sys
from pathlib import Path

import pytest

from tests.pipeline.kills import World, kill_many

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are found and watched through /proc")

DOSE = 8
MANY = 200


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("kills"))


def test_a_dose_of_kills_changes_no_artefact(world: World) -> None:
    kill_many(world, DOSE, seed=11)

    assert sum(world.places.values()) >= DOSE


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_kills_change_no_artefact(tmp_path: Path) -> None:
    world = World.make(tmp_path)

    kill_many(world, MANY, seed=2024)

    for (place, who), count in sorted(world.places.items()):
        print(f"{place:<40} {who:<8} {count}")
    stages = {place.partition(":")[0] for place, _ in world.places}
    assert stages >= {"ingest", "folds", "train", "predict", "evaluate", "join", "backtest", "search", "report"}
    assert {who for _, who in world.places} == {"child", "parent", "both"}
