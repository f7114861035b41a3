"""The sizes a model is built for: all that planning and building must know of the data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What goes into a model for each sample, and what comes out."""

    num_features: int
    num_outputs: int = 1
    lookback_periods: int = 1
    """Steps of a lookback; networks take any number, a linear model of all steps does not."""
    num_static: int = 0
    """Static attributes of an entity; 0 for models that take none."""
    num_entities: int = 0
    """Entities a model may know by number; one more number, 0, stands for all it has not learnt."""
