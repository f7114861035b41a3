"""Static attributes of entities as numbers beside each window."""

from collections.abc import Sequence

import numpy as np

from seawall.arrays import AnyArray, Float32
from seawall.errors import ConfigError, nearest
from seawall.stores.panel import Panel


def static_of(panel: Panel, static: Float32 | Sequence[str] | None) -> Float32 | None:
    """Give float32 [E, S] in the order of ``panel.entities``: an array as it is, or attributes of the store by name.

    Numbers come as they are, NaN where missing; texts as codes 0, 1, ... in the order of the sorted distinct texts of
    all entities, NaN where missing.

    Raises
    ------
    ConfigError
        For an array of another shape, or a name that is no attribute.
    """
    if static is None:
        return None
    if isinstance(static, np.ndarray):
        if static.ndim != 2 or len(static) != panel.shape.num_entities:
            allowed = f"[{panel.shape.num_entities:,}, S], one row an entity of the store"
            raise ConfigError("static", "wrong shape", found=str(list(static.shape)), allowed=allowed)
        return np.ascontiguousarray(static, np.float32)
    table = panel.attributes
    known = [name for name in table.column_names if name != "entity"]
    for name in static:
        if name not in known:
            do = nearest(str(name), known) if known else "Keep attributes at ingest with static."
            raise ConfigError("static", "no such attribute of entities", found=repr(name), do=do)
    columns = [_numbers(table.column(name).to_pylist()) for name in static]
    return np.column_stack(columns) if columns else None


def _numbers(values: list[object]) -> Float32:
    texts = sorted({value for value in values if isinstance(value, str)})
    codes = {text: code for code, text in enumerate(texts)}
    numbers: AnyArray = np.full(len(values), np.nan, np.float32)
    for place, value in enumerate(values):
        if isinstance(value, str):
            numbers[place] = codes[value]
        elif isinstance(value, int | float):
            numbers[place] = value
    return numbers
