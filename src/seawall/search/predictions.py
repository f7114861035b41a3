"""Entries from the predictions of a run: the best and worst of each date, or all beyond a threshold."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Float64, Int64
from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError, FormatError, nearest
from seawall.search.config import PredictionRule, SearchConfig
from seawall.search.entries import EntryWriter
from seawall.search.sources import Texts
from seawall.tables.times import from_typed

BATCH_ROWS = 16_384


def add_predictions(folder: Path, config: SearchConfig, writer: EntryWriter, beat: Beat) -> None:
    """Turn predictions into entries, date by date; the score is the prediction, times -1 for short.

    Memory: one batch and one date. A quantile is of the finite predictions of its date alone.

    Raises
    ------
    ConfigError, FormatError
        Where a type has no rule, or there is no prediction.
    """
    for name, type_config in config.types.items():
        if type_config.predictions is None:
            raise ConfigError(
                f"types.{name}.predictions", "this key is required", do="Say which predictions become entries."
            )
    rules = {name: type_.predictions for name, type_ in config.types.items() if type_.predictions is not None}
    paths = sorted(folder.glob("fold_*.parquet"), key=lambda path: (len(path.name), path.name))
    if not paths:
        raise FormatError(str(folder), "no predictions", do="Run the predict stage first.")
    names = Texts(writer.bars.entities)
    for number, path in enumerate(paths):
        columns = [_column(path, rule) for rule in rules.values()]
        for entities, times, predictions in _dates(path, names, columns):
            for number, (name, rule) in enumerate(rules.items()):
                _add(name, rule, entities, times, predictions[:, number], writer)
        beat("predictions", number + 1, len(paths))


def _column(path: Path, rule: PredictionRule) -> str:
    """Find the column with predictions of the target a rule asks for; of the first one where it asks for none."""
    try:
        names = pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        found = str(error).splitlines()[0]
        raise FormatError(str(path), "cannot be read as a prediction file", found=found) from error
    known = [name for name in names if name == "prediction" or name.startswith("prediction_")]
    if not known:
        raise FormatError(str(path), "no column of predictions", found=", ".join(names)[:200], allowed="prediction")
    wanted = known[0] if rule.target is None or known == ["prediction"] else f"prediction_{rule.target}"
    if wanted not in known:
        do = nearest(wanted, known)
        raise ConfigError("predictions.target", "no predictions of this target", found=repr(rule.target), do=do)
    return wanted


def _dates(path: Path, names: Texts, columns: list[str]) -> Iterator[tuple[Int64, Int64, Float64]]:
    """Give (entities, times, predictions [n, columns]) of one date after another; the file is sorted by time."""
    held: list[tuple[Int64, Int64, Float64]] = []
    with pq.ParquetFile(path, pre_buffer=False) as file:
        wanted = ["entity", "time", *dict.fromkeys(columns)]
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=False):
            codes = names.codes(batch.column("entity"), str(path))
            times, _, _ = from_typed(batch.column("time"), where=str(path))
            values = np.stack([_values(batch.column(name)) for name in columns], axis=1)
            cuts = [0, *(np.flatnonzero(np.diff(times)) + 1).tolist(), len(times)]
            for start, stop in pairwise(cuts):
                piece = codes[start:stop], times[start:stop], values[start:stop]
                if held and len(piece[1]) and held[0][1][0] != piece[1][0]:
                    yield _joined(held)
                    held = []
                held.append(piece)
    if held:
        yield _joined(held)


def _values(column: pa.Array) -> Float64:
    values: Float64 = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return values


def _joined(held: list[tuple[Int64, Int64, Float64]]) -> tuple[Int64, Int64, Float64]:
    return (
        np.concatenate([piece[0] for piece in held]),
        np.concatenate([piece[1] for piece in held]),
        np.concatenate([piece[2] for piece in held]),
    )


def _add(
    type_: str, rule: PredictionRule, entities: Int64, times: Int64, predictions: Float64, writer: EntryWriter
) -> None:  # fmt: skip
    known = np.isfinite(predictions)
    if not known.any():
        return
    long, short = np.zeros(len(known), bool), np.zeros(len(known), bool)
    if rule.long_quantile is not None:
        long |= predictions >= np.quantile(predictions[known], rule.long_quantile)
    if rule.short_quantile is not None:
        short |= predictions <= np.quantile(predictions[known], rule.short_quantile)
    if rule.long_threshold is not None:
        long |= predictions >= rule.long_threshold
    if rule.short_threshold is not None:
        short |= predictions <= rule.short_threshold
    for taken, side in ((long & ~short, 1), (short & ~long, -1)):
        places = np.flatnonzero(taken & known)
        scores = (side * predictions[places])[:, None]
        writer.add(type_, entities[places], times[places], np.full(len(places), side, np.int8), scores)
