"""Claims of one thing each, from which the plans of the folds, fit and predict stages are put together."""

from seawall.budget.claims import Claim
from seawall.losses.config import SumConfig
from seawall.models.config import RidgeConfig
from seawall.models.module_config import ModuleConfig
from seawall.models.shape import ModelShape
from seawall.stores.shape import PanelShape
from seawall.train.config import TrainConfig
from seawall.train.trackers import tracker_claims
from seawall.units import MIB, format_bytes, parse_bytes

ENTITY_BYTES = 40
"""Offsets and the binary search for the first row of a segment."""

ENTITY_NAME_BYTES = 240
"""An entity's name as Python text and as Arrow dictionary."""

ATTRIBUTE_BYTES = 150
"""A static attribute as Python object, Arrow value and number, while it is read."""

DATE_BYTES = 24

RUN_BYTES = 40
"""First row and count of a run of samples, and what finds it by position; the first two twice while runs are joined."""

DATE_SIZES_BYTES = 56 * MIB
"""Where every step is a date of another size: 30 MiB over all other claims measured (900 names, 1,100 dates)."""

TILE_SAMPLES = 256
"""Samples of a tile of the order blocks, as the window stream cuts them."""

RUNS_PER_ENTITY = 16
"""Breaks (suspensions, missing targets) an entity is expected to have in train and valid together."""

DATE_LOSS_VALUES = 24
"""Values a name of a date under a loss of dates: prediction, target, weight and differences, forward and backward."""

PAIR_ROWS, PAIR_VALUES = 256, 6
"""Rows of the table of pairs worked on together (losses/by_date.py), and values a pair while they are."""

STEP_TARGET_BYTES = 24
"""A target of a step: three batches of 4 B (used, ahead, being read), scaled twice, and what judging adds."""

STEP_MASK_BYTES = 4 * MIB

ENTITY_WEIGHT_BYTES = 48
"""Counts, sums, means and weights of an entity, and one sum more while a block is added."""


def in_sample_claims(shape: PanelShape, num_train_samples: int, num_targets: int) -> tuple[Claim, ...]:
    """Count the numbers of each date, and the rows of one, as float64."""
    if not num_train_samples:
        return ()
    date_bytes = shape.max_rows_per_date * (16 * shape.num_targets + 64)
    held = 32 * num_targets * shape.num_dates + date_bytes
    how = f"{shape.num_dates:,} dates x {32 * num_targets} B + one date"
    return (Claim("train in sample", held, how),)


def loss_claims(config: TrainConfig, shape: PanelShape) -> tuple[Claim, ...]:
    """Count what losses of whole dates hold: predictions and moments in float64, and rows of the table of pairs."""
    if not config.loss.by_date:
        return ()
    names, num_targets = shape.max_rows_per_date, len(config.target_names)
    terms = config.loss.terms if isinstance(config.loss, SumConfig) else (config.loss,)
    pair_rows = PAIR_ROWS if any(term.kind == "pairwise_rank" for term in terms) else 0
    held = 8 * names * (DATE_LOSS_VALUES * max(num_targets, len(terms)) + PAIR_VALUES * pair_rows)
    how = f"{names:,} names of a date x 8 B x ({DATE_LOSS_VALUES} a term + {PAIR_VALUES} x {pair_rows} rows of pairs)"
    return (Claim("losses of dates", held, how),)


def _num_features(config: TrainConfig, shape: PanelShape) -> int:
    return shape.num_features if config.features is None else len(config.features)


def model_sizes(config: TrainConfig, shape: PanelShape) -> ModelShape:
    """Give the sizes a model of this panel is built for; it knows no more entities than the panel has."""
    return ModelShape(
        num_features=_num_features(config, shape),
        num_outputs=len(config.target_names),
        lookback_periods=config.lookback_periods,
        num_static=len(config.model.static_names),
        num_entities=shape.num_entities if "entity" in config.model.takes else 0,
    )


def moment_claims(config: TrainConfig, sizes: ModelShape) -> tuple[Claim, ...]:
    """Count the sums of a model that is solved for."""
    if not isinstance(config.model, RidgeConfig):
        return ()
    how = f"8 B x (2 x {sizes.num_outputs} targets + 8 to solve) x ({config.model.num_inputs(sizes):,} inputs + 2)^2"
    return (Claim("sums of products", config.model.moment_bytes(sizes), how),)


def module_claims(config: TrainConfig, *, learns: bool = False) -> tuple[Claim, ...]:
    """Count what a user's own module imports, and what an optimiser of its own keeps."""
    if not isinstance(config.model, ModuleConfig):
        return ()
    named = {"libraries of the module": config.model.found.library_bytes}
    if learns:
        beyond_ours = config.model.found.optimizer_bytes - 2 * 4 * config.model.found.num_parameters
        named["more than two moments"] = max(0, beyond_ours)
    return tuple(Claim(name, held, "as the probe has measured") for name, held in named.items() if held)


def entity_claims(config: TrainConfig, shape: PanelShape) -> tuple[Claim, ...]:
    """Count what a model that takes more than features is told of each entity."""
    num_static, entities = len(config.model.static_names), f"{shape.num_entities:,} entities"
    claims = []
    if num_static:
        each = ATTRIBUTE_BYTES * num_static
        claims.append(
            Claim("static attributes", each * shape.num_entities, f"{entities} x {num_static} x {ATTRIBUTE_BYTES} B")
        )
    if config.entity_weights != "none":
        how = f"{entities} x {ENTITY_WEIGHT_BYTES} B, sums, counts and weights"
        claims.append(Claim("entity weights", ENTITY_WEIGHT_BYTES * shape.num_entities, how))
    if "entity" in config.model.takes:
        how = f"{entities} x {ENTITY_NAME_BYTES} B, names of those learnt and their numbers"
        claims.append(Claim("entities learnt", ENTITY_NAME_BYTES * shape.num_entities, how))
    return tuple(claims)


def pool_claims(config: TrainConfig, shape: PanelShape, num_samples: int) -> tuple[Claim, ...]:
    """Count the two pools of the orders blocks and by_time, which are no larger than all samples with their lookbacks.

    Tiles are of 256 samples, so one lookback for each of them, and one for each entity, bounds the rows beside samples.
    """
    if config.order not in ("blocks", "by_time"):
        return ()
    pool_bytes = parse_bytes(config.pool, where="train.pool")
    row_bytes = 4 * (_num_features(config, shape) + 1)
    lookbacks = (-(-num_samples // TILE_SAMPLES) + shape.num_entities) * config.lookback_periods
    all_bytes = (num_samples + lookbacks) * row_bytes + (160 if config.order == "by_time" else 40) * num_samples
    pools = 2 * min(pool_bytes, all_bytes)
    sizes = (Claim("sizes of dates", DATE_SIZES_BYTES, "buffers torch keeps for batches of many sizes"),)
    return (
        *(sizes if config.order == "by_time" else ()),
        Claim("pools", pools, f"2 x {format_bytes(pools // 2)} of rows (one used, one being read)"),
    )


def report_claims(config: TrainConfig, shape: PanelShape, judged: int) -> tuple[Claim, ...]:
    """Count what a report within an epoch reads while the batches of training wait, and who else gets it."""
    if not config.report_minutes:
        return tracker_claims(config.trackers)
    read_bytes = 8 * judged * config.lookback_periods * shape.num_features
    how = f"2 x {judged:,} windows of valid x {config.lookback_periods} x {shape.num_features} x 4 B (read, scaled)"
    return (*tracker_claims(config.trackers), Claim("report", read_bytes, how))


def batches_claim(config: TrainConfig, shape: PanelShape, batch_size: int) -> Claim:
    """Count windows as read with all columns of the panel: chosen ones are copied out of them."""
    batch_bytes = 4 * batch_size * config.lookback_periods * shape.num_features
    return Claim(
        "batches",
        3 * batch_bytes,
        f"3 x {batch_size:,} windows x {config.lookback_periods} x {shape.num_features} x 4 B (used, ahead, scaled)",
    )


def step_claims(config: TrainConfig, batch_size: int) -> tuple[Claim, ...]:
    """Count the targets of every step: three batches as read, and scaled, masked and judged ones."""
    if not config.is_sequence:
        return ()
    values = batch_size * config.lookback_periods * len(config.target_names)
    how = (
        f"{STEP_TARGET_BYTES} B x {batch_size:,} samples x {config.lookback_periods} steps x {len(config.target_names)}"
    )
    mask = Claim("mask of steps", STEP_MASK_BYTES, "65,536 steps looked at together")
    return (Claim("targets of steps", STEP_TARGET_BYTES * values, how), mask)


def window_claims(config: TrainConfig, batch_size: int, packed_rows: int) -> tuple[Claim, ...]:
    """Count predictions of every step as they come, and one value a row of a row group while they are put together."""
    if not config.is_sequence:
        return ()
    num_targets, num_steps = len(config.target_names), config.lookback_periods
    predicted = 4 * batch_size * num_steps * num_targets
    if config.sequence.reduce == "last":
        return (
            Claim("predicted steps", predicted, f"{batch_size:,} samples x {num_steps} steps x {num_targets} x 4 B"),
        )
    put_together = 8 * packed_rows * (4 + 4 * num_targets)
    return (
        Claim("predicted steps", predicted, f"{batch_size:,} samples x {num_steps} steps x {num_targets} x 4 B"),
        Claim("pieces of steps", 6 * 4 * MIB, "6 x 4 MiB on the way to the slot file"),
        Claim("values of rows", put_together, f"{packed_rows:,} rows of a row group x 8 B x (4 + 4 x {num_targets})"),
    )


def row_claims(config: TrainConfig, shape: PanelShape, num_test_samples: int) -> tuple[Claim, ...]:
    """Count what grows with the rows that are predicted: nothing, unless they are put together from windows."""
    if not config.is_sequence or config.sequence.reduce == "last":
        return ()
    num_windows = _num_windows(config, shape, num_test_samples)
    return (Claim("windows", 16 * num_windows, f"{num_windows:,} windows x 16 B, where they end"),)


def _num_windows(config: TrainConfig, shape: PanelShape, num_test_samples: int) -> int:
    """Bound the windows of many steps that rows are put together from."""
    stride = config.sequence.stride_periods if config.sequence.reduce == "mean" else config.lookback_periods
    return min(num_test_samples, num_test_samples // stride + 2 * RUNS_PER_ENTITY * shape.num_entities)


def slot_claim(config: TrainConfig, shape: PanelShape, num_test_samples: int) -> Claim:
    """Count the slot file on disk: a value a row, or every step of the windows that rows are put together from."""
    num_targets, num_steps = len(config.target_names), config.lookback_periods
    if not config.is_sequence or config.sequence.reduce == "last":
        how = f"{num_test_samples:,} rows x {num_targets} x 4 B and a bit"
        return Claim("slot file", 4096 + (4 * num_targets + 1) * num_test_samples, how)
    num_windows = _num_windows(config, shape, num_test_samples)
    how = f"{num_windows:,} windows x {num_steps} steps x {num_targets} x 4 B and a bit"
    return Claim("slot file", 4096 + (4 * num_steps * num_targets + 1) * num_windows, how)


def index_claims(shape: PanelShape, num_samples: int, *, stride: int = 1) -> tuple[Claim, ...]:
    """Count the index of the panel, and the runs of consecutive rows that samples are, or each sample of a stride."""
    num_runs = min(num_samples, RUNS_PER_ENTITY * shape.num_entities) if stride == 1 else num_samples
    return (
        Claim(
            "panel index",
            ENTITY_BYTES * shape.num_entities + DATE_BYTES * shape.num_dates,
            f"{shape.num_entities:,} entities x {ENTITY_BYTES} B + {shape.num_dates:,} dates x {DATE_BYTES} B",
        ),
        Claim("samples", RUN_BYTES * num_runs, f"{num_runs:,} runs of consecutive rows x {RUN_BYTES} B"),
    )
