"""Claims of the folds, fit and predict stages: mostly the libraries, then the activations of one batch."""

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.models.shape import ModelShape
from seawall.stores.shape import PanelShape
from seawall.train.claims import (
    ENTITY_NAME_BYTES,
    batches_claim,
    entity_claims,
    in_sample_claims,
    index_claims,
    loss_claims,
    model_sizes,
    module_claims,
    moment_claims,
    pool_claims,
    report_claims,
    row_claims,
    slot_claim,
    step_claims,
    window_claims,
)
from seawall.train.config import TrainConfig
from seawall.train.lightgbm_memory import tree_claims
from seawall.train.micro import GPU_CONTEXT_BYTES, MicroBatches
from seawall.units import MIB, format_bytes, parse_bytes
from seawall.windows.choose import Chosen, choose_order

FLOOR_BYTES = 39 * MIB
"""Fresh interpreter with seawall, NumPy, pyarrow and its Parquet reader imported (33-36 MiB measured)."""

TORCH_FLOOR_BYTES = 164 * MIB
"""The same with torch's CPU build and safetensors (157-160 MiB measured); torch.optim, not used, would add 70."""

SCRATCH_BYTES = 6 * MIB
"""Choosing samples and fitting scalers: blocks of 65,536 rows and four chunks of 1 MiB."""

KERNEL_SCRATCH_BYTES = 6 * MIB
"""Per torch thread, and for the thread that gathers ahead: packed weights, stacks, allocator slack."""

KEPT_BYTES = 24 * MIB
"""What a process that trains for minutes holds over the first steps' peak: up to 22 MiB more measured in the demo."""

LEADER_BYTES = 24 * MIB
"""The process that starts ranks."""

RANK_BYTES = 4 * MIB
"""Threads and buffers of the library that carries messages."""

MESSAGE_COPIES = 2
"""Gradients of all weights on the way to other ranks: as sent, and as the library receives them."""

WRITER_BYTES = 16 * MIB

WRITER_ROW_BYTES = 360
"""Parquet writer at rest, and per row of the row group being packed (35 MiB measured for 65,536 rows)."""

WRITER_VALUE_BYTES = 8
"""Per row of it and further column of predictions: the value as taken and as Arrow holds it (4-8 B measured)."""

ROW_GROUP_ROWS = 65_536


def plan_folds(config: TrainConfig, shape: PanelShape, budget_bytes: int) -> StagePlan:
    """Plan the folds stage. There is nothing to choose: memory is the libraries and the index of the panel."""
    del config, budget_bytes
    private = (
        Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow imported"),
        Claim("scratch", SCRATCH_BYTES, "blocks of 65,536 rows"),
        *index_claims(shape, shape.num_rows),
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
    whole = largest_batch(config, shape)
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
        batches_claim(config, shape, max(whole, judged)),
        *step_claims(config, max(whole, judged)),
        *report_claims(config, shape, judged),
        *loss_claims(config, shape),
        *pool_claims(config, shape, num_train_samples),
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
            KEPT_BYTES + max(0, learning + learning // 4 - max(learning, judging)),
            f"{format_bytes(KEPT_BYTES)} + a quarter of what a step of training holds, kept by the allocator for the"
            " next, where validation does not need it",
        ),
        Claim("scratch", SCRATCH_BYTES, "blocks of 65,536 rows, four chunks of 1 MiB"),
        *moment_claims(config, sizes),
        *tree_claims(config, shape, sizes, num_train_samples),
        *entity_claims(config, shape),
        *module_claims(config, learns=True),
        *index_claims(shape, num_train_samples, stride=config.sequence.stride_periods),
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
    writer_row_bytes = WRITER_ROW_BYTES + WRITER_VALUE_BYTES * (num_targets - 1)
    private = (
        Claim("interpreter and libraries", TORCH_FLOOR_BYTES, "Python, NumPy, pyarrow, torch imported"),
        Claim(
            "activations",
            _step_bytes(config, at_once, sizes, training=False),
            f"{at_once:,} samples x {config.lookback_periods} steps, forward only",
        ),
        batches_claim(config, shape, at_once),
        *window_claims(config, at_once, packed_rows),
        *tree_claims(config, shape, sizes, None),
        Claim("weights", 2 * 4 * config.model.num_parameters(sizes), "weights as read and as used"),
        Claim("kernels", _kernel_bytes(config), f"{format_bytes(KERNEL_SCRATCH_BYTES)} a thread"),
        *row_claims(config, shape, num_test_samples),
        Claim(
            "prediction file",
            WRITER_BYTES + writer_row_bytes * packed_rows,
            f"writer + {packed_rows:,} rows of a row group x {writer_row_bytes} B",
        ),
        Claim(
            "names", shape.num_entities * ENTITY_NAME_BYTES, f"{shape.num_entities:,} entities x {ENTITY_NAME_BYTES} B"
        ),
        *entity_claims(config, shape),
        *module_claims(config),
        *index_claims(shape, max(num_test_samples, num_train_samples)),
        *in_sample_claims(shape, num_train_samples, num_targets),
    )
    row_bytes = 28 + 4 * num_targets
    learnt = f"{num_train_samples:,} rows x {num_targets} x 4 B and a bit, gone at the end"
    in_sample = Claim("slot file of train", 4096 + (4 * num_targets + 1) * num_train_samples, learnt, temporary=True)
    disk = (
        slot_claim(config, shape, num_test_samples),
        Claim(
            "rows in order", 8 * num_test_samples, f"{num_test_samples:,} rows x 8 B, gone at the end", temporary=True
        ),
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
        *entity_claims(config, shape),
        *module_claims(config),
        *index_claims(shape, shape.num_rows),
    )
    return StagePlan(stage="import", private=private, cache=container_claims(dirty_bytes=MIB))


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


def _step_bytes(config: TrainConfig, batch_size: int, sizes: ModelShape, *, training: bool) -> int:
    return config.model.activation_bytes(batch_size, config.lookback_periods, sizes, training=training)


def _kernel_bytes(config: TrainConfig) -> int:
    return KERNEL_SCRATCH_BYTES * (config.threads + 1)


def largest_batch(config: TrainConfig, shape: PanelShape) -> int:
    """Count the samples of the largest step: a date may have as many as the panel has names on it."""
    return shape.max_rows_per_date if config.order == "by_time" else config.batch_size // config.ranks


def choose_train_order(config: TrainConfig, shape: PanelShape, num_train_samples: int, budget_bytes: int) -> Chosen:
    """Choose between shuffle and blocks for ``order: auto``: by whether the rows fit beside what training holds."""
    plan = plan_fit(config.model_copy(update={"order": "shuffle"}), shape, num_train_samples, budget_bytes)
    held_bytes = sum(claim.bytes for claim in plan.private + plan.cache)
    data_bytes = 4 * shape.num_rows * shape.num_features
    pool_bytes = parse_bytes(config.pool, where="train.pool")
    return choose_order("auto", data_bytes, max(0, budget_bytes - held_bytes), pool_bytes)
