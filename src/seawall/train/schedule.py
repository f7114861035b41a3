"""The learning rate of a step: a pure function of the step and of how often the score stood still."""

import math

from seawall.train.schedule_config import ConstantConfig, CosineConfig, OneCycleConfig, PlateauConfig


def rate_share(
    config: ConstantConfig | CosineConfig | OneCycleConfig | PlateauConfig,
    step: int,
    num_steps: int,
    num_plateaus: int = 0,
) -> float:
    """Give the rate of a step as a share of ``learning_rate``.

    Parameters
    ----------
    step
        Steps taken before this one, of ``num_steps`` there can be.
    num_plateaus
        Times the score stood still.
    """
    if isinstance(config, PlateauConfig):
        return float(max(config.factor**num_plateaus, config.lowest_share))
    if isinstance(config, CosineConfig):
        num_rising = round(config.warmup_share * num_steps)
        if step < num_rising:
            return (step + 1) / num_rising
        return _between(1.0, config.end_share, (step - num_rising) / max(1, num_steps - num_rising - 1))
    if isinstance(config, OneCycleConfig):
        start = 1.0 / config.start_divisor
        peak = config.rise_share * num_steps - 1.0
        if step <= peak:
            return _between(start, 1.0, step / max(1.0, peak))
        return _between(1.0, start / config.end_divisor, (step - peak) / max(1.0, num_steps - 1.0 - peak))
    return 1.0


def _between(first: float, last: float, share: float) -> float:
    """Go from first to last along half a cosine."""
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, max(0.0, share))))
