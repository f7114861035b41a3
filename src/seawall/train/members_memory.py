"""Claims of predicting with several models of a fold, one after another."""

from dataclasses import replace

from seawall.budget.claims import Claim, StagePlan
from seawall.stores.shape import PanelShape
from seawall.train.config import TrainConfig
from seawall.train.members import baseline_members, of_member, seeds_of, trained_members
from seawall.train.members_config import column_members
from seawall.train.memory import ROW_GROUP_ROWS, WRITER_VALUE_BYTES, plan_predict
from seawall.units import MIB, format_bytes

SEED_VALUE_BYTES = 32
"""A value of a row group while seeds are put together, float64: mean, squares, one seed's difference and its square."""

MODEL_SLACK_BYTES = 2 * MIB
"""What each further model leaves behind in the allocator."""

LAST_VALUE_ROWS = 1 << 20
"""Rows of entities whose last values are looked up together, so that memory does not grow with the rows there are."""

LAST_VALUE_ROW_BYTES = 24
"""Its place, its number and its order."""

BITS_BYTES = 16 * MIB
"""Marks of slots written in no order, before they are on disk (stores/slots.py)."""


def plan_predict_members(
    config: TrainConfig,
    shape: PanelShape,
    num_test_samples: int,
    budget_bytes: int,
    *,
    micro_batches: int = 1,
    num_train_samples: int = 0,
) -> StagePlan:
    """Plan predicting one fold with all its models: the largest of them, and what grows with their number."""
    names, columns = trained_members(config), column_members(seeds_of(config), config.baselines)

    def of(name: str) -> StagePlan:
        learnt = 0 if name.startswith("baseline_") else num_train_samples
        member = of_member(config, name).model_copy(update={"ranks": config.ranks})
        counts = {"micro_batches": micro_batches, "num_train_samples": learnt}
        return plan_predict(member, shape, num_test_samples, budget_bytes, **counts)

    plans = [of(name) for name in names]
    largest = max(plans, key=lambda plan: plan.projected_private_bytes)
    if not columns and len(names) == 1:
        return largest
    return replace(
        largest,
        private=(*largest.private, *_beside_claims(config, num_test_samples, len(columns), len(names))),
        disk=_disk_claims(plans, config, num_test_samples, len(columns)),
        neutral={"random_access": max(plan.neutral["random_access"] for plan in plans)},
    )


def _beside_claims(config: TrainConfig, num_rows: int, num_columns: int, num_models: int) -> tuple[Claim, ...]:
    targets, packed_rows = len(config.target_names), min(num_rows, ROW_GROUP_ROWS)
    at_work = SEED_VALUE_BYTES if len(seeds_of(config)) > 1 else 0
    row_bytes = targets * (at_work + WRITER_VALUE_BYTES * num_columns)
    how = (
        f"{packed_rows:,} rows of a row group x {targets} targets x ({num_columns} columns x {WRITER_VALUE_BYTES} B"
        + (f" + {at_work} B while seeds are averaged)" if at_work else ")")
    )
    claims = [
        Claim("columns beside", row_bytes * packed_rows, how),
        Claim(
            "models", num_models * MODEL_SLACK_BYTES, f"{num_models} x {format_bytes(MODEL_SLACK_BYTES)} left behind"
        ),
    ]
    if "baseline_last_value" in baseline_members(config):
        held = LAST_VALUE_ROW_BYTES * min(num_rows, LAST_VALUE_ROWS) + min(num_rows // 8, BITS_BYTES)
        how = f"at most {LAST_VALUE_ROWS:,} rows x {LAST_VALUE_ROW_BYTES} B in order of entities, and their bits"
        claims.append(Claim("rows by entity", held, how))
    return tuple(claims)


def _disk_claims(plans: list[StagePlan], config: TrainConfig, num_rows: int, num_columns: int) -> tuple[Claim, ...]:
    """Count a slot file of each model, all of them there at once, and the columns of the prediction file."""
    slots = [claim for plan in plans for claim in plan.disk if claim.purpose.startswith("slot file")]
    others = [claim for claim in plans[0].disk if not claim.purpose.startswith("slot file")]
    targets = len(config.target_names)
    if "baseline_last_value" in baseline_members(config):
        slots.append(Claim("slot file", 4096 + (4 * targets + 1) * num_rows, f"{num_rows:,} rows of last values"))
    columns = 4 * targets * num_columns * num_rows
    how = f"{num_rows:,} rows x {targets * num_columns} x 4 B before compression"
    return (*slots, *others, Claim("columns beside the predictions", columns, how))
