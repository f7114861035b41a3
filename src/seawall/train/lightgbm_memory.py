"""Claims of boosted trees: LightGBM itself, the binned samples of train and valid, histograms."""

import re

from seawall.budget.claims import Claim
from seawall.models.lightgbm_config import ROW_BYTES, LightGbmConfig
from seawall.models.shape import ModelShape
from seawall.stores.shape import PanelShape
from seawall.train.config import TrainConfig
from seawall.units import MIB

LIGHTGBM_BYTES = 22 * MIB
"""LightGBM and scipy.sparse imported without pandas (14 MiB measured), and its buffers."""

SPAN_DAYS = {"y": 365, "m": 30, "mo": 30, "w": 7, "d": 1}


def tree_claims(
    config: TrainConfig, shape: PanelShape, sizes: ModelShape, num_train_samples: int | None
) -> tuple[Claim, ...]:
    """Count what LightGBM holds beside all else; only itself where nothing is learnt (``num_train_samples`` None)."""
    model = config.model
    if not isinstance(model, LightGbmConfig):
        return ()
    library = Claim("LightGBM", LIGHTGBM_BYTES, "LightGBM and scipy.sparse imported, its buffers")
    if num_train_samples is None:
        return (library,)
    columns, num_samples = model.num_inputs(sizes), num_train_samples + _valid_samples(config, shape, num_train_samples)
    how = f"{num_samples:,} samples of train and valid x (2 x {columns} columns x 1 B + {ROW_BYTES} B)"
    tables = f"histograms of {model.num_leaves} leaves x {columns} x {model.max_bins} bins, rows of bins, chunks"
    return (
        library,
        Claim("binned samples", model.data_bytes(sizes, num_samples), how),
        Claim("tables of trees", model.table_bytes(sizes), tables),
    )


def _valid_samples(config: TrainConfig, shape: PanelShape, num_train_samples: int) -> int:
    """Bound the samples of valid by its length."""
    train, valid = config.folds.train, config.folds.valid
    rest = max(0, shape.num_rows - num_train_samples)
    if isinstance(valid, int):
        return min(rest, valid * shape.max_rows_per_date)
    if valid is None or not isinstance(train, str):
        return rest
    return min(rest, int(1.3 * num_train_samples * _days(valid) / _days(train)) + shape.max_rows_per_date)


def _days(span: str) -> int:
    found = re.fullmatch(r"([0-9]+)([a-z]+)", span.lower())
    return int(found[1]) * SPAN_DAYS[found[2]] if found else 1
