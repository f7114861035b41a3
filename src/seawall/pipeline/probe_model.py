"""A user's own module before a run is planned: its code is found, tried and measured in a child of its own."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.models.module_config import Measured, ModuleConfig
from seawall.models.module_source import source_key
from seawall.models.shape import ModelShape
from seawall.pipeline.config import RunConfig
from seawall.pipeline.look import look_under_plan
from seawall.pipeline.scratch import scratch_folder
from seawall.stores.atomic import text_key
from seawall.stores.shape import PanelShape
from seawall.train.claims import model_sizes
from seawall.train.config import TrainConfig
from seawall.train.memory import TORCH_FLOOR_BYTES, largest_batch
from seawall.units import MIB

PLACE = "train.model.measured"
"""Where plan.json keeps what was measured, so that a run goes on with the plan it began with."""

TASK = "look at the model"

LEAST_ROOM_BYTES = 64 * MIB
"""A smaller budget is refused by the plan of the probe."""


SLACK_BYTES = 16 * MIB
"""By which the waiting parent may have grown since its share was taken."""


def with_source(config: RunConfig) -> RunConfig:
    """Put the checksum of a user's code into the config: other code is another model, and is trained again.

    Models that are there already keep the checksum they were trained with, which their code must still have.

    Raises
    ------
    ConfigError
        Where there is no such code.
    """
    model = None if config.train is None else config.train.model
    if not isinstance(model, ModuleConfig) or config.models is not None:
        return config
    return _with_model(config, model.model_copy(update={"source": source_key(model.target), "measured": None}))


def with_measures(
    config: RunConfig, shape: PanelShape, budget_bytes: int, share_bytes: int, command: str
) -> tuple[RunConfig, dict[str, Any]]:
    """Put what a user's module holds into the config: as this run folder has measured it before, else by a probe.

    Returns
    -------
    config, resolved
        What was measured, by its place in the config: it goes to plan.json.

    Raises
    ------
    SeawallError
        With the line of the user's code, or what of the contract it breaks; BudgetError where no probe fits.
    """
    train = config.train
    if train is None or not isinstance(train.model, ModuleConfig):
        return config, {}
    model = train.model
    if model.measured is None:
        found = _kept(config.output / "plan.json", measure_key(train, shape))
        found = found or _measure(train, shape, budget_bytes, share_bytes, command)
        model = model.model_copy(update={"measured": found})
    return _with_model(config, model), {PLACE: model.found.model_dump()}


def measure_key(train: TrainConfig, shape: PanelShape) -> str:
    """Stand for all that a measurement depends on: code, arguments, sizes, batch."""
    choices = train.model.model_dump_json(exclude={"measured"})
    return text_key(choices, json.dumps(asdict(model_sizes(train, shape))), str(_batch_size(train, shape)))


def _batch_size(train: TrainConfig, shape: PanelShape) -> int:
    return max(largest_batch(train, shape), train.predict_batch_size)


def _measure(train: TrainConfig, shape: PanelShape, budget_bytes: int, share_bytes: int, command: str) -> Measured:
    cache = container_claims(dirty_bytes=MIB)
    taken_bytes = TORCH_FLOOR_BYTES + sum(claim.bytes for claim in cache) + SLACK_BYTES
    room_bytes = max(LEAST_ROOM_BYTES, share_bytes - taken_bytes)
    plan = StagePlan(
        stage=TASK,
        private=(
            Claim("interpreter and libraries", TORCH_FLOOR_BYTES, "Python, NumPy, pyarrow, torch imported"),
            Claim("a batch of the module", room_bytes, "what is left: batches grow until they need half of it"),
        ),
        cache=cache,
    )
    sizes: ModelShape = model_sizes(train, shape)
    settings = {
        "model": json.loads(train.model.model_dump_json()),
        "shape": asdict(sizes),
        "key": measure_key(train, shape),
        "batch_size": _batch_size(train, shape),
        "room_bytes": room_bytes // 2,
    }
    request = {"task": TASK, "settings": settings, "knobs": {}}
    with scratch_folder() as scratch:
        return Measured.model_validate(look_under_plan(TASK, plan, request, scratch, budget_bytes, command))


def _kept(plan: Path, key: str) -> Measured | None:
    try:
        kept = Measured.model_validate(json.loads(plan.read_text(encoding="utf-8"))["resolved"][PLACE])
    except (OSError, ValueError, LookupError, TypeError, ValidationError):
        return None
    return kept if kept.key == key else None


def _with_model(config: RunConfig, model: ModuleConfig) -> RunConfig:
    train = config.train
    if train is None:
        return config
    return config.model_copy(update={"train": train.model_copy(update={"model": model})})
