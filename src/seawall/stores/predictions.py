"""The prediction store: one Parquet file per fold, sorted by (time, entity), read back in order of time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Float32, Int64
from seawall.errors import FormatError, ResumeError
from seawall.stores.atomic import DirtyWindow, file_checksum, replacing, write_json
from seawall.stores.panel import Panel

PREDICTIONS_FORMAT = "seawall-predictions/1"
ROW_GROUP_ROWS = 65_536
"""Rows per Parquet row group: small enough that a reader needs a few MB, large enough to compress."""


@dataclass(frozen=True, slots=True)
class PredictionBatch:
    """A run of predictions in (time, entity) order; all arrays have the same length."""

    row: Int64
    fold: Int64
    prediction: Float32


def time_type(panel: Panel) -> pa.DataType:
    """Arrow type of the time column of this panel's tables."""
    return pa.timestamp("ns", tz="UTC") if panel.calendar_kind == "timestamp" else pa.int64()


def key_columns(panel: Panel, rows: Int64, dictionary: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Build the ``time`` and ``entity`` columns for row ids; ``dictionary`` holds all entity names."""
    times = pa.array(panel.calendar[panel.time_index[rows]]).cast(time_type(panel))
    codes = pa.array(panel.entity_of(rows).astype(np.int32))
    return times, pa.DictionaryArray.from_arrays(codes, dictionary)


def write_fold(
    path: Path, panel: Panel, *, fold: int, rows: Int64, predictions: Float32, target: str, model_key: str
) -> dict[str, Any]:
    """Write the predictions of one fold and its manifest.

    Parameters
    ----------
    path
        ``.../fold_NN.parquet``; the manifest is written beside it last.
    rows
        int64 [n], row ids in (time, entity) order.
    predictions
        float32 [n], in the unit of the target. May be a mapped slot file: it is read one row group at a time.

    Returns
    -------
    dict
        The manifest.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    dictionary = pa.array(panel.entities, pa.string())
    schema = pa.schema(
        [
            ("row", pa.int64()),
            ("time", time_type(panel)),
            ("entity", pa.dictionary(pa.int32(), pa.string())),
            ("fold", pa.int32()),
            ("prediction", pa.float32()),
        ]
    )
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=["entity"]) as writer,
    ):
        window = DirtyWindow(temporary)
        for start in range(0, len(rows), ROW_GROUP_ROWS):
            part = np.asarray(rows[start : start + ROW_GROUP_ROWS])
            times, entities = key_columns(panel, part, dictionary)
            columns = [
                pa.array(part),
                times,
                entities,
                pa.array(np.full(len(part), fold, np.int32)),
                pa.array(np.array(predictions[start : start + ROW_GROUP_ROWS], np.float32)),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            window.note()
    times_of_ends = [int(panel.calendar[panel.time_index[rows[i]]]) for i in (0, -1)] if len(rows) else [None, None]
    manifest = {
        "format": PREDICTIONS_FORMAT,
        "fold": fold,
        "num_rows": len(rows),
        "first_time": times_of_ends[0],
        "last_time": times_of_ends[1],
        "target": target,
        "panel_key": panel.content_key,
        "model_key": model_key,
        "xxh3_64": file_checksum(path),
    }
    write_json(path.with_suffix(".json"), manifest)
    return manifest


class PredictionStore:
    """All folds of a run's predictions, read lazily in order of time.

    Parameters
    ----------
    folder
        The ``predictions/`` folder of a run.

    Raises
    ------
    FormatError
        Where a manifest and its file disagree.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifests = [_read_manifest(path) for path in self.folder.glob("fold_*.json")]
        self.manifests.sort(key=lambda manifest: int(manifest["fold"]))
        if not self.manifests:
            raise FormatError(str(self.folder), "no predictions", do="Run the predict stage first.")

    @property
    def paths(self) -> list[Path]:
        """Parquet files in order of fold, which is order of time."""
        return [self.folder / f"fold_{manifest['fold']:02d}.parquet" for manifest in self.manifests]

    @property
    def num_rows(self) -> int:
        """Predictions in all folds."""
        return sum(int(manifest["num_rows"]) for manifest in self.manifests)

    @property
    def target(self) -> str:
        """Name of the predicted target."""
        return str(self.manifests[0]["target"])

    def batches(self, *, rows_per_batch: int = ROW_GROUP_ROWS) -> Iterator[PredictionBatch]:
        """Read all folds in order of (time, entity); memory is one row group."""
        for path in self.paths:
            for batch in _read(path, ["row", "fold", "prediction"], rows_per_batch):
                yield PredictionBatch(
                    row=batch.column("row").to_numpy(),
                    fold=batch.column("fold").to_numpy().astype(np.int64),
                    prediction=batch.column("prediction").to_numpy(zero_copy_only=False),
                )

    def dates(self, panel: Panel) -> Iterator[tuple[int, PredictionBatch]]:
        """Read all folds date by date: (calendar index, that date's predictions in entity order).

        A date is never split; memory is one row group and the largest date.
        """
        held: list[PredictionBatch] = []
        held_time = -1
        for batch in self.batches():
            times = panel.time_index[batch.row]
            cuts = [0, *(np.flatnonzero(np.diff(times)) + 1).tolist(), len(times)]
            for start, stop in pairwise(cuts):
                if stop == start:
                    continue
                part = PredictionBatch(batch.row[start:stop], batch.fold[start:stop], batch.prediction[start:stop])
                if held and int(times[start]) != held_time:
                    yield held_time, _joined(held)
                    held = []
                held_time = int(times[start])
                held.append(part)
        if held:
            yield held_time, _joined(held)


def _read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest of a fold, and check that its file holds as many rows."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(str(path), "cannot be read", found=str(error), do="Run the predict stage again.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != PREDICTIONS_FORMAT:
        found = repr(manifest.get("format")) if isinstance(manifest, dict) else type(manifest).__name__
        raise FormatError(str(path), "unknown format", found=found, allowed=PREDICTIONS_FORMAT)
    wrong = [key for key in ("fold", "num_rows") if not isinstance(manifest.get(key), int)]
    wrong += [key for key in ("target", "panel_key") if not isinstance(manifest.get(key), str)]
    if wrong:
        raise FormatError(str(path), "damaged manifest", found=f"{wrong[0]} = {manifest.get(wrong[0])!r}")
    table = path.with_suffix(".parquet")
    try:
        num_rows = pq.read_metadata(table).num_rows
    except (OSError, pa.ArrowException) as error:
        raise FormatError(str(table), "cannot be read as a prediction file", found=_first_line(error)) from error
    if num_rows != manifest["num_rows"]:
        raise FormatError(str(table), "wrong number of rows", found=str(num_rows), allowed=str(manifest["num_rows"]))
    return manifest


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _joined(parts: list[PredictionBatch]) -> PredictionBatch:
    if len(parts) == 1:
        return parts[0]
    return PredictionBatch(
        np.concatenate([p.row for p in parts]),
        np.concatenate([p.fold for p in parts]),
        np.concatenate([p.prediction for p in parts]),
    )


def _read(path: Path, columns: list[str], rows_per_batch: int) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            yield from file.iter_batches(batch_size=rows_per_batch, columns=columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise FormatError(str(path), "cannot be read as a prediction file", found=_first_line(error)) from error


def open_predictions(panel: Path, folder: Path) -> tuple[Panel, PredictionStore]:
    """Open predictions with the panel they were made from.

    Raises
    ------
    FormatError
        Where one of them is damaged, or folds predict different targets.
    ResumeError
        Where the predictions were made from another panel.
    """
    opened, store = Panel(panel), PredictionStore(folder)
    for path, manifest in zip(store.paths, store.manifests, strict=True):
        if manifest["panel_key"] != opened.content_key:
            raise ResumeError(
                str(path),
                "these predictions were made from another panel",
                found=str(manifest["panel_key"]),
                allowed=opened.content_key,
                do="Predict again, or name the panel they were made from.",
            )
        if manifest["target"] != store.target:
            where, found = str(path), str(manifest["target"])
            raise FormatError(where, "folds predict different targets", found=found, allowed=store.target)
    return opened, store
