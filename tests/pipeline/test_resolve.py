"""What a config leaves to the plan is chosen once for a run folder."""

from pathlib import Path

from seawall.pipeline.config import RunConfig, parse_config
from seawall.pipeline.resolve import resolve
from seawall.pipeline.stages import Folds
from seawall.stores.atomic import write_json
from seawall.stores.shape import PanelShape
from seawall.units import GIB, MIB

SHAPE = PanelShape(
    num_rows=10_000_000,
    num_entities=1000,
    num_dates=10_000,
    num_features=32,
    num_targets=1,
    num_prices=1,
    max_rows_per_entity=10_000,
    max_rows_per_date=1000,
)
FOLDS = Folds((5_000_000,), (1_000_000,))


def asked(folder: Path, order: str) -> RunConfig:
    train = {"target": "y", "folds": {"train": 100, "valid": 10, "test": 10}, "order": order}
    return parse_config({"output": str(folder), "panel": "x.panel", "train": train}, "here")


def order_of(config: RunConfig) -> str:
    assert config.train is not None
    return config.train.order


def test_the_order_follows_the_memory_at_hand_and_says_why(tmp_path: Path) -> None:
    little, why = resolve(asked(tmp_path, "auto"), SHAPE, FOLDS, GIB)
    much, _ = resolve(asked(tmp_path, "auto"), SHAPE, FOLDS, 8 * GIB)

    assert (order_of(little), order_of(much)) == ("blocks", "shuffle")
    assert "1.2 GiB of rows" in why["train.order"]["why"]


def test_what_was_chosen_stays_when_the_memory_changes_and_what_is_asked_for_wins(tmp_path: Path) -> None:
    _, resolved = resolve(asked(tmp_path, "auto"), SHAPE, FOLDS, GIB)
    write_json(tmp_path / "plan.json", {"resolved": resolved})

    again, kept = resolve(asked(tmp_path, "auto"), SHAPE, FOLDS, 8 * GIB)
    explicit, nothing = resolve(asked(tmp_path, "shuffle"), SHAPE, FOLDS, 700 * MIB)

    assert (order_of(again), kept) == ("blocks", resolved)
    assert (order_of(explicit), nothing) == ("shuffle", {})
