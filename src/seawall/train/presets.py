"""Presets: sets of documented fields of training. A field that the config names itself is left as it is."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    # A quarter of the batch is a quarter of the activations; small pools and no reports hold no second batch of valid.
    "low_memory": {
        "batch_size": 128,
        "predict_batch_size": 256,
        "pool": "16MiB",
        "order": "auto",
        "report_minutes": 0.0,
    },
    # Larger steps at a higher rate, and a shorter wait for the next better epoch.
    "fast": {
        "batch_size": 1024,
        "predict_batch_size": 4096,
        "learning_rate": 2e-3,
        "pool": "256MiB",
        "order": "auto",
        "max_epochs": 10,
        "patience": 2,
    },
    # The defaults, with a rate that falls and averaged weights: the last epochs then differ less from one another.
    "balanced": {
        "order": "auto",
        "schedule": {"kind": "cosine"},
        "ema_decay": 0.99,
    },
}


def with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """Fill in what the named preset says; an unknown name is left for the config to refuse."""
    chosen = PRESETS.get(str(values.get("preset")), {})
    return {**chosen, **values}
