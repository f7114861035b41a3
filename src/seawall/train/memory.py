"""Claims of the folds, fit and predict stages: mostly the libraries, then the activations of one batch."""

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.losses.config import SumConfig
from seawall.models.config import RidgeConfig
from seawall.models.shape import ModelShape
from seawall.stores.shape import PanelShape
from seawall.train.config import TrainConfig
from seawall.train.lightgbm_memory import tree_claims
from seawall.train.micro import GPU_CONTEXT_BYTES, MicroBatches
from seawall.train.trackers import tracker_claims
from seawall.units import MIB, format_bytes, parse_bytes
from seawall.windows.choose import Chosen, choose_order

FLOOR_BYTES = 37 * MIB
"""Fresh interpreter with seawall, NumPy, pyarrow and its Parquet reader imported (33 MiB measured)."""

TORCH_FLOOR_BYTES = 164 * MIB
"""The same with torch's CPU build and safetensors (157-160 MiB measured); torch.optim, not used, would add 70."""

SCRATCH_BYTES = 6 * MIB
"""Choosing samples and fitting scalers: blocks of 65,536 rows and four chunks of 1 MiB."""

KERNEL_SCRATCH_BYTES = 6 * MIB
"""Per torch thread, and for the thread that gathers ahead: packed weights, stacks, allocator slack."""

KEPT_BYTES = 16 * MIB
"""What a process that trains for minutes holds over the first steps' peak: up to 10 MiB more measured in the demo."""

ENTITY_BYTES = 40
"""Offsets and the binary search for the first row of a segment."""

ENTITY_NAME_BYTES = 240
"""An entity's name as Python text and as Arrow dictionary."""

ATTRIBUTE_BYTES = 150
"""A static attribute as Python object, Arrow value and number, while it is read."""

LEADER_BYTES = 24 * MIB
"""The process that starts ranks."""

RANK_BYTES = 4 * MIB
"""Threads and buffers of the library that carries messages."""

MESSAGE_COPIES = 2
"""Gradients of all weights on the way to other ranks: as sent, and as the library receives them."""

DATE_BYTES = 24
RUN_BYTES = 32
"""First row and count of a run of samples, twice while runs are joined."""

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

WRITER_BYTES = 16 * MIB
WRITER_ROW_BYTES = 360
"""Parquet writer at rest, and per row of the row group being packed (35 MiB measured for 65,536 rows)."""

WRITER_TARGET_BYTES = 40
"""Per row of it and further target: the values as taken, packed and encoded."""

ROW_GROUP_ROWS = 65_536


def plan_folds(config: TrainConfig, shape: PanelShape, budget_bytes: int) -> StagePlan:
    """Plan the folds stage. There is nothing to choose: memory is the libraries and the index of the panel."""
    del config, budget_bytes
    private = (
        Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow imported"),
        Claim("scratch", SCRATCH_BYTES, "blocks of 65,536 rows"),
        *_index_claims(shape, shape.num_rows),
    )
    return StagePlan(stage="folds", private=private, cache=container_claims(dirty_bytes=MIB))


def plan_fit(
    config: TrainConfig, shape: PanelShape, num_train_samples: int, budget_bytes: int, *, micro_batches: int = 1
) -> StagePlan:
    """Plan training one fold; with ``micro_batches`` every batch is worked through in that many parts.

    The batch decides results, so it is not shrunk: where the plan does not fit, batch_size or hidden_size must be.
    ``random_access`` is 1 where the features do not fit beside the rest of the budget, and read-ahead must be off.
    """
    sizes = model_sizes(config, shape)
    num_parameters = config.model.num_parameters(sizes)
    copies = _weight_copies(config) + (MESSAGE_COPIES if config.ranks > 1 else 0)
    split = MicroBatches(micro_batches)
    whole = _largest_batch(config, shape)
    learned, judged = split.part_size(whole), split.part_size(config.predict_batch_size)
    learning = _step_bytes(config, learned, sizes, training=True)
    judging = _step_bytes(config, judged, sizes, training=False)
    private = (
        Claim("interpreter and libraries", TORCH_FLOOR_BYTES, "Python, NumPy, pyarrow, torch imported"),
        Claim(
            "activations",
            max(learning, judging),
            f"{learned:,} samples x {config.lookback_periods} steps, forward and backward"
            if learning >= judging
            else f"{judged:,} samples x {config.lookback_periods} steps of validation",
        ),
        _batches_claim(config, shape, max(whole, judged)),
        *_step_claims(config, max(whole, judged)),
        *_report_claims(config, shape, judged),
        *_loss_claims(config, shape),
        *_pool_claims(config, shape, num_train_samples),
        Claim(
            "weights",
            copies * 4 * num_parameters,
            f"{num_parameters:,} weights x 4 B x {copies} (weights, gradients, two moments, best, copy being saved"
            + (", average" if config.ema_decay is not None else "")
            + (", message to other ranks twice)" if config.ranks > 1 else ")"),
        ),
        Claim(
            "kernels", _kernel_bytes(config), f"{format_bytes(KERNEL_SCRATCH_BYTES)} a thread, one more gathers ahead"
        ),
        Claim(
            "kept buffers",
            KEPT_BYTES + max(learning, judging) // 4,
            f"{format_bytes(KEPT_BYTES)} + a quarter of the activations, kept by the allocator for the next step",
        ),
        Claim("scratch", SCRATCH_BYTES, "blocks of 65,536 rows, four chunks of 1 MiB"),
        *_moment_claims(config, sizes),
        *tree_claims(config, shape, sizes, num_train_samples),
        *_entity_claims(config, shape),
        *_index_claims(shape, num_train_samples, stride=config.sequence.stride_periods),
    )
    model_bytes = 4 * num_parameters
    disk: tuple[Claim, ...] = (
        Claim("model", model_bytes + MIB, "weights, scaler, history"),
        Claim(
            "checkpoint",
            2 * (copies - 1) * model_bytes + MIB,
            "weights, two moments, best, average; the old one stays until the new is whole",
        ),
    )
    if config.ranks > 1:
        values = shape.num_rows * len(config.target_names)  # of valid, whose rows are not counted before it is cut
        disk += (Claim("validation", 4 * values, f"slot file: at most {values:,} predictions x 4 B"),)
    return _with_access("train", _of_all_ranks(config, private), disk, config, shape, (budget_bytes, micro_batches))


def plan_predict(
    config: TrainConfig,
    shape: PanelShape,
    num_test_samples: int,
    budget_bytes: int,
    *,
    micro_batches: int = 1,
    num_train_samples: int = 0,
) -> StagePlan:
    """Plan predicting one fold; ``random_access`` and ``micro_batches`` as in :func:`plan_fit`.

    ``num_train_samples`` are judged in sample before; 0 where nobody asks for that.
    """
    at_once = MicroBatches(micro_batches).part_size(config.predict_batch_size)
    sizes = model_sizes(config, shape)
    num_targets = len(config.target_names)
    packed_rows = min(num_test_samples, ROW_GROUP_ROWS)
    writer_row_bytes = WRITER_ROW_BYTES + WRITER_TARGET_BYTES * (num_targets - 1)
    private = (
        Claim("interpreter and libraries", TORCH_FLOOR_BYTES, "Python, NumPy, pyarrow, torch imported"),
        Claim(
            "activations",
            _step_bytes(config, at_once, sizes, training=False),
            f"{at_once:,} samples x {config.lookback_periods} steps, forward only",
        ),
        _batches_claim(config, shape, at_once),
        *_window_claims(config, at_once, packed_rows),
        *tree_claims(config, shape, sizes, None),
        Claim("weights", 2 * 4 * config.model.num_parameters(sizes), "weights as read and as used"),
        Claim("kernels", _kernel_bytes(config), f"{format_bytes(KERNEL_SCRATCH_BYTES)} a thread"),
        Claim("rows", 9 * num_test_samples, f"{num_test_samples:,} rows x (8 B row id + 1 B of bitmap)"),
        Claim(
            "prediction file",
            WRITER_BYTES + writer_row_bytes * packed_rows,
            f"writer + {packed_rows:,} rows of a row group x {writer_row_bytes} B",
        ),
        Claim(
            "names", shape.num_entities * ENTITY_NAME_BYTES, f"{shape.num_entities:,} entities x {ENTITY_NAME_BYTES} B"
        ),
        *_entity_claims(config, shape),
        *_index_claims(shape, max(num_test_samples, num_train_samples)),
        *_in_sample_claims(shape, num_train_samples, num_targets),
    )
    row_bytes = 28 + 4 * num_targets
    learnt = f"{num_train_samples:,} rows x {num_targets} x 4 B and a bit, gone at the end"
    in_sample = Claim("slot file of train", 4096 + (4 * num_targets + 1) * num_train_samples, learnt, temporary=True)
    disk = (
        _slot_claim(config, shape, num_test_samples),
        *((in_sample,) if num_train_samples else ()),
        Claim(
            "predictions", row_bytes * num_test_samples, f"{num_test_samples:,} rows x {row_bytes} B before compression"
        ),
    )
    private = _of_all_ranks(config, private)
    return _with_access("predict", private, disk, config, shape, (budget_bytes, micro_batches))


def plan_import(config: TrainConfig, shape: PanelShape, file_bytes: int) -> StagePlan:
    """Plan taking in weights that were trained elsewhere, one file of at most ``file_bytes`` at a time."""
    weights = 4 * config.model.num_parameters(model_sizes(config, shape))
    private = (
        Claim("interpreter and libraries", TORCH_FLOOR_BYTES, "Python, NumPy, pyarrow, torch imported"),
        Claim("weights", file_bytes + 3 * weights, "one file as read, its model as built, taken and written"),
        Claim("scratch", SCRATCH_BYTES, "blocks of 65,536 rows, four chunks of 1 MiB"),
        *_entity_claims(config, shape),
        *_index_claims(shape, shape.num_rows),
    )
    return StagePlan(stage="import", private=private, cache=container_claims(dirty_bytes=MIB))


def _in_sample_claims(shape: PanelShape, num_train_samples: int, num_targets: int) -> tuple[Claim, ...]:
    """Count the bitmap of the slot file, the numbers of each date, and the rows of one, as float64."""
    if not num_train_samples:
        return ()
    date_bytes = shape.max_rows_per_date * (16 * shape.num_targets + 64)
    held = num_train_samples // 8 + 32 * num_targets * shape.num_dates + date_bytes
    how = f"{num_train_samples:,} bits + {shape.num_dates:,} dates x {32 * num_targets} B + one date"
    return (Claim("train in sample", held, how),)


def _with_access(
    stage: str,
    private: tuple[Claim, ...],
    disk: tuple[Claim, ...],
    config: TrainConfig,
    shape: PanelShape,
    means: tuple[int, int],
) -> StagePlan:
    budget_bytes, micro_batches = means
    cache = container_claims(dirty_bytes=8 * MIB)
    room_bytes = budget_bytes - sum(claim.bytes for claim in private + cache)
    features_bytes = 4 * shape.num_rows * shape.num_features
    return StagePlan(
        stage=stage,
        private=private,
        cache=cache,
        disk=disk,
        neutral={"random_access": int(features_bytes > room_bytes)},
        semantic={
            "batch_size": config.batch_size,
            "predict_batch_size": config.predict_batch_size,
            "threads": config.threads,
            **({"ranks": config.ranks} if config.ranks > 1 else {}),
            **({"micro_batches": micro_batches} if micro_batches > 1 else {}),
        },
    )


def gpu_bytes(config: TrainConfig, sizes: ModelShape, micro_batches: int) -> int:
    """Claim GPU memory for training: context, weights six times, one part's activations, the batch as it is copied."""
    part = MicroBatches(micro_batches).part_size(config.batch_size)
    weights = _weight_copies(config) * 4 * config.model.num_parameters(sizes)
    learning = _step_bytes(config, part, sizes, training=True)
    copied = 4 * part * config.lookback_periods * sizes.num_features
    return GPU_CONTEXT_BYTES + weights + learning + copied


def _of_all_ranks(config: TrainConfig, private: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """Count the same claims once a rank, and the leader that starts them."""
    if config.ranks == 1:
        return private
    number = config.ranks
    claims = [Claim(claim.purpose, number * claim.bytes, f"{number} ranks x ({claim.formula})") for claim in private]
    met = Claim(
        "messages", number * RANK_BYTES, f"{number} ranks x {format_bytes(RANK_BYTES)}, threads that carry them"
    )
    return (Claim("leader", LEADER_BYTES, "Python, without torch: starts the ranks"), *claims, met)


def _weight_copies(config: TrainConfig) -> int:
    """Weights, gradients, two moments, best, copy being saved; their average; and what autocast keeps in 16 bits."""
    return 6 + (config.ema_decay is not None) + (config.precision != "float32")


def _loss_claims(config: TrainConfig, shape: PanelShape) -> tuple[Claim, ...]:
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
        num_entities=shape.num_entities if "entity" in config.model.inputs else 0,
    )


def _step_bytes(config: TrainConfig, batch_size: int, sizes: ModelShape, *, training: bool) -> int:
    return config.model.activation_bytes(batch_size, config.lookback_periods, sizes, training=training)


def _moment_claims(config: TrainConfig, sizes: ModelShape) -> tuple[Claim, ...]:
    """Count the sums of a model that is solved for."""
    if not isinstance(config.model, RidgeConfig):
        return ()
    how = f"8 B x (2 x {sizes.num_outputs} targets + 8 to solve) x ({config.model.num_inputs(sizes):,} inputs + 2)^2"
    return (Claim("sums of products", config.model.moment_bytes(sizes), how),)


def _entity_claims(config: TrainConfig, shape: PanelShape) -> tuple[Claim, ...]:
    """Count what a model that takes more than features is told of each entity."""
    num_static, entities = len(config.model.static_names), f"{shape.num_entities:,} entities"
    claims = []
    if num_static:
        each = ATTRIBUTE_BYTES * num_static
        claims.append(
            Claim("static attributes", each * shape.num_entities, f"{entities} x {num_static} x {ATTRIBUTE_BYTES} B")
        )
    if "entity" in config.model.inputs:
        how = f"{entities} x {ENTITY_NAME_BYTES} B, names of those learnt and their numbers"
        claims.append(Claim("entities learnt", ENTITY_NAME_BYTES * shape.num_entities, how))
    return tuple(claims)


def _kernel_bytes(config: TrainConfig) -> int:
    return KERNEL_SCRATCH_BYTES * (config.threads + 1)


def _pool_claims(config: TrainConfig, shape: PanelShape, num_samples: int) -> tuple[Claim, ...]:
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


def _largest_batch(config: TrainConfig, shape: PanelShape) -> int:
    """Count the samples of the largest step: a date may have as many as the panel has names on it."""
    return shape.max_rows_per_date if config.order == "by_time" else config.batch_size // config.ranks


def choose_train_order(config: TrainConfig, shape: PanelShape, num_train_samples: int, budget_bytes: int) -> Chosen:
    """Choose between shuffle and blocks for ``order: auto``: by whether the rows fit beside what training holds."""
    plan = plan_fit(config.model_copy(update={"order": "shuffle"}), shape, num_train_samples, budget_bytes)
    held_bytes = sum(claim.bytes for claim in plan.private + plan.cache)
    data_bytes = 4 * shape.num_rows * shape.num_features
    pool_bytes = parse_bytes(config.pool, where="train.pool")
    return choose_order("auto", data_bytes, max(0, budget_bytes - held_bytes), pool_bytes)


def _report_claims(config: TrainConfig, shape: PanelShape, judged: int) -> tuple[Claim, ...]:
    """Count what a report within an epoch reads while the batches of training wait, and who else gets it."""
    if not config.report_minutes:
        return tracker_claims(config.trackers)
    read_bytes = 8 * judged * config.lookback_periods * shape.num_features
    how = f"2 x {judged:,} windows of valid x {config.lookback_periods} x {shape.num_features} x 4 B (read, scaled)"
    return (*tracker_claims(config.trackers), Claim("report", read_bytes, how))


def _batches_claim(config: TrainConfig, shape: PanelShape, batch_size: int) -> Claim:
    """Count windows as read with all columns of the panel: chosen ones are copied out of them."""
    batch_bytes = 4 * batch_size * config.lookback_periods * shape.num_features
    return Claim(
        "batches",
        3 * batch_bytes,
        f"3 x {batch_size:,} windows x {config.lookback_periods} x {shape.num_features} x 4 B (used, ahead, scaled)",
    )


def _step_claims(config: TrainConfig, batch_size: int) -> tuple[Claim, ...]:
    """Count the targets of every step: three batches as read, and scaled, masked and judged ones."""
    if not config.is_sequence:
        return ()
    values = batch_size * config.lookback_periods * len(config.target_names)
    how = (
        f"{STEP_TARGET_BYTES} B x {batch_size:,} samples x {config.lookback_periods} steps x {len(config.target_names)}"
    )
    mask = Claim("mask of steps", STEP_MASK_BYTES, "65,536 steps looked at together")
    return (Claim("targets of steps", STEP_TARGET_BYTES * values, how), mask)


def _window_claims(config: TrainConfig, batch_size: int, packed_rows: int) -> tuple[Claim, ...]:
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


def _slot_claim(config: TrainConfig, shape: PanelShape, num_test_samples: int) -> Claim:
    num_targets, num_steps = len(config.target_names), config.lookback_periods
    if not config.is_sequence or config.sequence.reduce == "last":
        how = f"{num_test_samples:,} rows x {num_targets} x 4 B and a bit"
        return Claim("slot file", 4096 + (4 * num_targets + 1) * num_test_samples, how)
    stride = config.sequence.stride_periods if config.sequence.reduce == "mean" else num_steps
    runs = 2 * RUNS_PER_ENTITY * shape.num_entities
    num_windows = min(num_test_samples, num_test_samples // stride + runs)
    how = f"{num_windows:,} windows x {num_steps} steps x {num_targets} x 4 B and a bit"
    return Claim("slot file", 4096 + (4 * num_steps * num_targets + 1) * num_windows, how)


def _index_claims(shape: PanelShape, num_samples: int, *, stride: int = 1) -> tuple[Claim, ...]:
    num_runs = min(num_samples, RUNS_PER_ENTITY * shape.num_entities) if stride == 1 else num_samples
    return (
        Claim(
            "panel index",
            ENTITY_BYTES * shape.num_entities + DATE_BYTES * shape.num_dates,
            f"{shape.num_entities:,} entities x {ENTITY_BYTES} B + {shape.num_dates:,} dates x {DATE_BYTES} B",
        ),
        Claim("samples", RUN_BYTES * num_runs, f"{num_runs:,} runs of consecutive rows x {RUN_BYTES} B"),
    )
