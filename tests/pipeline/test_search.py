"""Ingest to page with a trained model whose predictions a search enters on; killed, it ends with the same bytes."""

import json
import random
import sys
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from seawall.units import MIB
from tests.pipeline.kills import SUBSTEPS, WHO, World

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are found and watched through /proc")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("search"))


def types(world: World) -> dict[str, Any]:
    loaded = json.loads((world.folder / "undisturbed" / "search" / "summary.json").read_text())
    return dict(loaded["types"])


def test_predictions_of_the_trained_model_become_the_entries(world: World) -> None:
    num_dates, num_long = 0, 0
    for path in sorted((world.folder / "undisturbed" / "predictions").glob("*.parquet")):
        frame = pq.read_table(path, columns=["time", "prediction"]).to_pandas()
        for _, own in frame.groupby("time"):
            known = own["prediction"].dropna().to_numpy()
            num_dates += 1
            num_long += int((known >= np.quantile(known, 0.6)).sum())
    own = types(world)["long"]

    assert num_dates >= 40
    assert own["entries"]["read"] == num_long
    assert own["entries"]["kept"] + own["entries"]["past_end"] == num_long
    assert own["account"]["search"]["num_trades"] <= own["spans"]["num_search"]
    assert types(world)["both"]["phase2"]["num_trials"] == 5, "thresholds of the prediction"


def test_the_page_shows_the_search_of_the_run(world: World) -> None:
    page = (world.folder / "undisturbed" / "report.html").read_text()

    assert "Parameter search" in page
    assert "against zero" in page


def test_the_claim_of_the_search_is_two_sided(world: World) -> None:
    record = world.units()["search"]
    projected, measured = record["projected_private_bytes"], record["measured_private_bytes"]

    assert measured <= projected <= 1.5 * measured + 32 * MIB


def test_kills_of_child_and_parent_inside_the_search_change_no_byte(world: World) -> None:
    chance, num_killed = random.Random(7), 0
    for turn in range(4):
        seconds, told = world.undo("search"), [f"turn {turn}"]
        for who in (WHO[turn % 2], chance.choice(WHO)):
            substep, delay = chance.choice(SUBSTEPS["search"]), chance.uniform(0, 0.02)
            if turn == 3:
                substep, delay = "", chance.uniform(0, seconds)
            if not world.kill_after(delay, who, substep=substep):
                break
            told.append(f"{who} {delay:.3f} s after {substep or 'start'}")
            num_killed += 1
        world.run_to_the_end()
        world.assert_undisturbed(", ".join(told))

    assert num_killed >= 4
