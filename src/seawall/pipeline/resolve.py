"""Choices a config leaves to the plan and that decide results: made once for a run folder, kept ever after."""

import json
from pathlib import Path
from typing import Any

from seawall.pipeline.config import RunConfig
from seawall.pipeline.stages import Folds
from seawall.stores.shape import PanelShape
from seawall.train.memory import choose_train_order
from seawall.windows.choose import ORDERS

ORDER = "train.order"


def resolve(config: RunConfig, shape: PanelShape, folds: Folds, share_bytes: int) -> tuple[RunConfig, dict[str, Any]]:
    """Replace ``train.order: auto`` by what the memory at hand allows, or by what this run folder has chosen before.

    Returns
    -------
    config, resolved
        The config without open choices, and what was chosen and why, by its place in the config: it goes to plan.json.
    """
    train = config.train
    if train is None or train.order != "auto":
        return config, {}
    kept = _kept(config.output / "plan.json")
    if kept is None:
        num_samples = max(folds.num_train_samples, default=0)
        chosen = choose_train_order(train, shape, num_samples, share_bytes)
        kept = {"chosen": chosen.order, "why": chosen.why}
    return config.model_copy(update={"train": train.model_copy(update={"order": kept["chosen"]})}), {ORDER: kept}


def _kept(plan: Path) -> dict[str, str] | None:
    """Read what an earlier start of the run chose: other memory later must not make another model."""
    try:
        found = json.loads(plan.read_text(encoding="utf-8"))["resolved"][ORDER]
        chosen, why = str(found["chosen"]), str(found["why"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return {"chosen": chosen, "why": why} if chosen in ORDERS else None
