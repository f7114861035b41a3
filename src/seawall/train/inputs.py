"""What a model takes beside features: static attributes in standard units, numbers of the entities it has learnt."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seawall.arrays import Bool, Float32, Int64
from seawall.errors import DataError, FormatError
from seawall.models.network_config import NetworkConfig
from seawall.models.shape import ModelShape
from seawall.stores.atomic import write_json
from seawall.stores.panel import Panel
from seawall.stores.scalers import ColumnScale, fit_columns
from seawall.windows.gather import Beside
from seawall.windows.samples import Samples
from seawall.windows.static import static_of

INPUTS_FORMAT = "seawall-inputs/1"


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """What a model was taught to take beside features. Both are empty for a model that takes features alone."""

    static: tuple[ColumnScale, ...] = ()
    """Mean and spread of each static attribute over the entities of train, each counted once."""
    entities: tuple[str, ...] = ()
    """Names of the entities of train: the n-th has the number n + 1, any other the number 0."""

    @property
    def is_empty(self) -> bool:
        """Tell whether the model takes features alone."""
        return not self.static and not self.entities

    def beside(self, panel: Panel, beside: Beside = Beside()) -> Beside:
        """Say what a batch of a panel must carry for the model. Memory is 4 bytes an attribute, 8 an entity."""
        if self.static:
            beside = replace(beside, static=self._standardised(panel))
        if self.entities:
            numbers = {name: number + 1 for number, name in enumerate(self.entities)}
            known: Int64 = np.array([numbers.get(name, 0) for name in panel.entities], np.int64)
            beside = replace(beside, entity=True, entity_numbers=known)
        return beside

    def _standardised(self, panel: Panel) -> Float32:
        """Give float32 [E, S]; missing attributes become 0, the mean of train."""
        values = _attributes(panel, tuple(column.name for column in self.static))
        mean = np.array([column.mean for column in self.static])
        std = np.array([column.std for column in self.static])
        scaled: Float32 = np.nan_to_num((values - mean) / std, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
        return scaled

    def save(self, path: Path) -> None:
        """Write ``inputs.json`` atomically."""
        write_json(path, {"format": INPUTS_FORMAT, **asdict(self)})


def fit_inputs(panel: Panel, train: Samples, config: NetworkConfig) -> ModelInputs:
    """Learn from train what the model takes beside features: entities that train has no sample of do not count.

    Raises
    ------
    ConfigError
        Where a static attribute is not in the store.
    DataError
        Where one is text, or has no value for any entity of train.
    """
    static: tuple[ColumnScale, ...] = ()
    if not config.static_names and "entity" not in config.takes:
        return ModelInputs()
    in_train = _entities_of(panel, train)
    if config.static_names:
        chosen = np.flatnonzero(in_train)
        columns = range(len(config.static_names))
        static = fit_columns(_attributes(panel, config.static_names), [chosen], columns, config.static_names)
    learnt = "entity" in config.takes
    names = tuple(name for name, is_in in zip(panel.entities, in_train, strict=True) if is_in) if learnt else ()
    return ModelInputs(static, names)


def model_shape(num_features: int, num_outputs: int, inputs: ModelInputs, *, lookback_periods: int) -> ModelShape:
    """Give the sizes a model is built for."""
    return ModelShape(
        num_features=num_features,
        num_outputs=num_outputs,
        lookback_periods=lookback_periods,
        num_static=len(inputs.static),
        num_entities=len(inputs.entities),
    )


def load_inputs(path: Path) -> ModelInputs:
    """Read ``inputs.json``; a model without one takes features alone.

    Raises
    ------
    FormatError
        Where it is damaged.
    """
    if not path.exists():
        return ModelInputs()
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != INPUTS_FORMAT:
            raise FormatError(str(path), "unknown format", found=repr(record["format"]), allowed=INPUTS_FORMAT)
        return ModelInputs(
            tuple(ColumnScale(**column) for column in record["static"]), tuple(map(str, record["entities"]))
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(str(path), "not inputs", found=str(error), do="Train the fold again.") from error


def _entities_of(panel: Panel, samples: Samples) -> Bool:
    first = panel.entity_of(samples.first_rows)
    last = panel.entity_of(samples.first_rows + samples.lengths - 1)
    # Where a lookback is one row, a run goes on from one entity to the next.
    opened = np.zeros(panel.shape.num_entities + 1, np.int64)
    np.add.at(opened, first, 1)
    np.add.at(opened, last + 1, -1)
    seen: Bool = np.cumsum(opened)[:-1] > 0
    return seen


def _attributes(panel: Panel, names: tuple[str, ...]) -> Float32:
    table = panel.attributes
    for name in names:
        if name in table.column_names and any(isinstance(value, str) for value in table.column(name).to_pylist()):
            where, what = f"model.static {name!r}", "this attribute is text"
            raise DataError(where, what, allowed="numbers", do="Leave it out, or give numbers for it at ingest.")
    values = static_of(panel, names)
    return np.empty((panel.shape.num_entities, 0), np.float32) if values is None else values
