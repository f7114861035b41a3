"""In sample beside out of sample: each model on its train segment, from what the predict stage has judged there."""

from pathlib import Path
from typing import Any

from seawall.evaluate.blocks import pooled_block, series_block
from seawall.metrics import PointwiseMoments
from seawall.stores.in_sample import in_sample_file, read_in_sample


def add_in_sample(record: dict[str, Any], predictions: Path) -> None:
    """Set ``in_sample`` in the block of each fold, and means over the folds in ``overall``.

    Train segments of folds overlap, so there is no t over all of them: the mean of the folds' means stands alone,
    beside the same mean out of sample.

    Raises
    ------
    FormatError
        Where the numbers of a fold are missing or damaged.
    """
    for fold in record["folds"]:
        found = read_in_sample(in_sample_file(predictions, fold["fold"]), record["target"])
        fold["in_sample"] = {
            "pooled": pooled_block(PointwiseMoments.from_state(found.moments).result()),
            "ic": series_block(found.ic, record["horizon_periods"]),
            "rank_ic": series_block(found.rank_ic, record["horizon_periods"]),
        }
    record["overall"]["in_sample"] = {
        f"{side}_{name}_mean": _mean([block[name]["mean"] for block in blocks])
        for side, blocks in (("train", [fold["in_sample"] for fold in record["folds"]]), ("test", record["folds"]))
        for name in ("ic", "rank_ic")
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
