"""A sweep summed in parts by others gives the search's files byte for byte; what a kill leaves is used."""

import json
from pathlib import Path
from typing import Any

import pytest

from seawall.budget.heartbeat import silent
from seawall.search.config import SearchConfig
from seawall.search.prepare import Inputs
from seawall.search.run import search
from seawall.search.sharding import FOLDER, Sharding, shard_folder
from seawall.search.shards import sweep_shard
from tests.search.test_run import config, files, tables

PARTS = {"most": 3, "least_evaluations": 1}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchConfig, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("shards")
    bars, entries = tables(folder, num_entries=400)
    asked = config(bars, entries)
    search(asked, folder / "whole", Inputs(None, None))
    return asked, files(folder / "whole")


def in_parts(asked: SearchConfig, output: Path) -> list[dict[str, Any]]:
    """Search with every sweep in parts, and give what was ordered."""
    orders = []
    while "sweep" in (found := search(asked, output, Inputs(None, None), shards=PARTS)):
        orders.append(json.loads(json.dumps(found["sweep"])))
        for number in orders[-1]["missing"]:
            sweep_shard(orders[-1], number, asked, output, beat=silent)
    return orders


def test_sums_in_parts_are_those_of_one_process_to_the_bit(
    world: tuple[SearchConfig, dict[str, bytes]], tmp_path: Path
) -> None:
    asked, whole = world
    orders = in_parts(asked, tmp_path / "parts")

    assert files(tmp_path / "parts") == whole
    assert {order["part"] for order in orders} == {"search", "everything"}, "the search, and the refit on all data"
    assert [[0, 2], [2, 3], [3, 4]] in [order["shards"] for order in orders]
    assert len({len(order["levels"][0]) for order in orders}) > 1, "lines of the refinement too"


def test_a_part_that_is_lost_or_of_another_sweep_alone_is_ordered_again(
    world: tuple[SearchConfig, dict[str, bytes]], tmp_path: Path
) -> None:
    asked, _ = world
    output = tmp_path / "parts"
    order = search(asked, output, Inputs(None, None), shards=PARTS)["sweep"]
    for number in order["missing"]:
        sweep_shard(order, number, asked, output, beat=silent)
    (shard_folder(output, 1) / "shard.json").unlink()
    other = json.loads((shard_folder(output, 2) / "shard.json").read_text())
    (shard_folder(output, 2) / "shard.json").write_text(json.dumps(other | {"key": "another"}))

    assert search(asked, output, Inputs(None, None), shards=PARTS)["sweep"]["missing"] == [1, 2]
    assert "types" in search(asked, output, Inputs(None, None)), "without others it sums all by itself"
    assert not (output / FOLDER).exists()


def test_small_sweeps_are_not_cut(tmp_path: Path) -> None:
    sharding = Sharding(tmp_path, tmp_path, "a", most=8, least_evaluations=1000)
    assert sharding.pieces(100, 1999) == []
    assert sharding.pieces(1, 10**9) == []
    assert sharding.pieces(5, 3500) == [(0, 2), (2, 4), (4, 5)]
    assert len(sharding.pieces(100, 10**9)) == 8
