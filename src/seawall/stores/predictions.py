"""The prediction store: one Parquet file per fold, sorted by (time, entity), read back in order of time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Float32, Int64
from seawall.errors import ConfigError, FormatError, ResumeError, nearest
from seawall.stores.atomic import DirtyWindow, file_checksum, replacing, write_json
from seawall.stores.columns import member_column
from seawall.stores.panel import Panel
from seawall.stores.prediction_manifest import PREDICTIONS_FORMAT, read_manifest

ROW_GROUP_ROWS = 65_536
"""Rows per Parquet row group: small enough that a reader needs a few MB, large enough to compress."""

DATE_BATCH_ROWS = 8_192
"""Rows unpacked at once where dates are read one by one."""


class Sliced(Protocol):
    """Predictions that can be asked for by slices of rows."""

    def __getitem__(self, rows: slice, /) -> Float32:
        """Give float32 [n] or [n, K]."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Columns beside the predictions: their spread, those of each seed and of baselines, each float32 [n] or [n, K]."""

    columns: Mapping[str, Sliced] = field(default_factory=dict)
    """By name, without that of a target."""
    seeds: tuple[int, ...] = ()
    """Of which the predictions are the mean."""

    def record(self) -> dict[str, Any]:
        """Say in the manifest what there is; nothing where there is nothing."""
        seeds = {"seeds": list(self.seeds)} if self.seeds else {}
        return {**seeds, "beside": list(self.columns)} if self.columns else seeds


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


def write_fold(  # noqa: PLR0913 - one keyword a part of the file
    path: Path,
    panel: Panel,
    *,
    fold: int,
    rows: Int64,
    predictions: Sliced,
    target: str | Sequence[str],
    model_key: str,
    parts: Sequence[tuple[int, int]] = (),
    beside: Beside = Beside(),
) -> dict[str, Any]:
    """Write the predictions of one fold and its manifest.

    Parameters
    ----------
    path
        ``.../fold_NN.parquet``; the manifest is written beside it last.
    rows
        int64 [n], row ids in (time, entity) order.
    predictions
        float32 [n] or [n, K], in the unit of the target. May be a mapped slot file, or compute what it is asked for:
        it is read one row group at a time.
    target
        Name of the target, or of all K: each then has a column of its own (:func:`prediction_column`).
    parts
        Of combinatorial folds, the path and the number of rows of each test group, in order of time: a column ``path``
        says it, and a row group belongs to one of them.
    beside
        Further columns of each target.

    Returns
    -------
    dict
        The manifest.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    dictionary = pa.array(panel.entities, pa.string())
    targets = (target,) if isinstance(target, str) else tuple(target)
    schema = _schema(panel, targets, ("prediction", *beside.columns), has_paths=bool(parts))
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=["entity"]) as writer,
    ):
        window = DirtyWindow(temporary)
        for start, stop, number in _groups(len(rows), parts):
            part = np.asarray(rows[start:stop])
            times, entities = key_columns(panel, part, dictionary)
            columns = [
                pa.array(part),
                times,
                entities,
                pa.array(np.full(len(part), fold, np.int32)),
                *(
                    column
                    for values in (predictions, *beside.columns.values())
                    for column in _prediction_arrays(values[start:stop], len(targets))
                ),
                *([pa.array(np.full(len(part), number, np.int32))] if parts else []),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            window.note()
    manifest: dict[str, Any] = {
        "format": PREDICTIONS_FORMAT,
        "fold": fold,
        "num_rows": len(rows),
        "first_time": _calendar_time(panel, rows[:1]),
        "last_time": _calendar_time(panel, rows[-1:]),
        "target": targets[0],
        **({"targets": list(targets)} if len(targets) > 1 else {}),
        "panel_key": panel.content_key,
        "model_key": model_key,
        **beside.record(),
        "xxh3_64": file_checksum(path),
    }
    if parts:
        starts = np.cumsum([0, *(count for _, count in parts)]).tolist()
        manifest["paths"] = [
            {"path": number, "num_rows": count, "first_time": _calendar_time(panel, rows[start : start + 1])}
            for (number, count), start in zip(parts, starts, strict=False)
        ]
    write_json(path.with_suffix(".json"), manifest)
    return manifest


def _prediction_arrays(predictions: Float32, num_targets: int) -> list[pa.Array]:
    values = np.array(predictions, np.float32).reshape(-1, num_targets)
    return [pa.array(np.ascontiguousarray(column)) for column in values.T]


def _schema(panel: Panel, targets: Sequence[str], members: Sequence[str], *, has_paths: bool) -> pa.Schema:
    columns = [
        ("row", pa.int64()),
        ("time", time_type(panel)),
        ("entity", pa.dictionary(pa.int32(), pa.string())),
        ("fold", pa.int32()),
        *((member_column(member, target, targets), pa.float32()) for member in members for target in targets),
    ]
    return pa.schema([*columns, ("path", pa.int32())] if has_paths else columns)


def _groups(num_rows: int, parts: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Give (start, stop, path) of each row group."""
    first = 0
    for number, count in parts or [(0, num_rows)]:
        for start in range(first, first + count, ROW_GROUP_ROWS):
            yield start, min(start + ROW_GROUP_ROWS, first + count), number
        first += count


def _calendar_time(panel: Panel, row: Int64) -> int | None:
    return int(panel.calendar[panel.time_index[row[0]]]) if len(row) else None


class PredictionStore:
    """All folds of a run's predictions, read lazily in order of time.

    Parameters
    ----------
    folder
        The ``predictions/`` folder of a run.
    target
        Which target's predictions to read, where there are several; the first where missing.
    member
        Instead of the predictions themselves, a column beside them: a seed, a baseline, the spread.

    Raises
    ------
    FormatError
        Where a manifest and its file disagree.
    ConfigError
        For a target or member that is not predicted, naming those that are.
    """

    def __init__(self, folder: str | Path, target: str | None = None, member: str = "prediction") -> None:
        self.folder, self.member = Path(folder), member
        self.manifests = [read_manifest(path) for path in self.folder.glob("fold_*.json")]
        self.manifests.sort(key=lambda manifest: int(manifest["fold"]))
        if not self.manifests:
            raise FormatError(str(self.folder), "no predictions", do="Run the predict stage first.")
        self.target = self.targets[0] if target is None else target
        if self.target not in self.targets:
            found, do = repr(target), nearest(self.target, self.targets)
            raise ConfigError("target", "no predictions of this target", found=found, do=do)
        if member not in ("prediction", *self.beside):
            raise ConfigError("member", "no predictions of it", found=repr(member), do=nearest(member, self.beside))

    @property
    def paths(self) -> list[Path]:
        """Parquet files in order of fold, which is order of time."""
        return [self.folder / f"fold_{manifest['fold']:02d}.parquet" for manifest in self.manifests]

    @property
    def num_paths(self) -> int:
        """Paths of combinatorial folds, each of which predicts every date once; 0 where the folds walk forward."""
        return len({int(part["path"]) for manifest in self.manifests for part in manifest.get("paths", [])})

    @property
    def num_rows(self) -> int:
        """Predictions in all folds."""
        return sum(int(manifest["num_rows"]) for manifest in self.manifests)

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of all predicted targets, in order of their columns."""
        first = self.manifests[0]
        return tuple(first.get("targets", (first["target"],)))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds whose mean the predictions are; empty where they are of one model."""
        return tuple(self.manifests[0].get("seeds", ()))

    @property
    def beside(self) -> tuple[str, ...]:
        """Names of the columns beside the predictions: spread, seeds, baselines."""
        return tuple(self.manifests[0].get("beside", ()))

    @property
    def column(self) -> str:
        """Column of the files with what is read."""
        return member_column(self.member, self.target, self.targets)

    def batches(self, *, rows_per_batch: int = ROW_GROUP_ROWS, path: int | None = None) -> Iterator[PredictionBatch]:
        """Read all folds, or one path of combinatorial folds, in order of (time, entity); memory is one row group.

        Raises
        ------
        ConfigError
            Where the folds are combinatorial and no path is named: each date is predicted several times.
        """
        for file, groups in self._pieces(path):
            for batch in _read(file, ["row", "fold", self.column], rows_per_batch, groups):
                columns = PredictionBatch(
                    row=batch.column("row").to_numpy(),
                    fold=batch.column("fold").to_numpy().astype(np.int64),
                    prediction=batch.column(self.column).to_numpy(zero_copy_only=False),
                )
                yield columns
                # Nothing of it is held here while the next one is read.
                del batch, columns

    def refuse_paths(self) -> None:
        """Raise unless the predictions walk forward.

        Raises
        ------
        ConfigError
            For predictions of combinatorial folds.
        """
        if self.num_paths:
            raise ConfigError(
                "predictions",
                f"they are {self.num_paths} paths of combinatorial folds, not a walk forward: each date is predicted "
                f"{self.num_paths} times, mostly by models that learnt from what came after it",
                do="Set folds.kind: walk_forward; seawall evaluate judges paths one by one.",
            )

    def _pieces(self, path: int | None) -> Iterator[tuple[Path, list[int] | None]]:
        """Give the files, and the row groups in them, that hold what is asked for, in order of time."""
        if path is None:
            self.refuse_paths()
            yield from ((file, None) for file in self.paths)
            return
        found = []
        for file, manifest in zip(self.paths, self.manifests, strict=True):
            start = 0
            for part in manifest.get("paths", []):
                if part["path"] == path and part["num_rows"]:
                    found.append((int(part["first_time"]), file, start, start + int(part["num_rows"])))
                start += int(part["num_rows"])
        for _, file, start, stop in sorted(found):
            yield file, _row_groups(file, start, stop)

    def dates(self, panel: Panel, *, path: int | None = None) -> Iterator[tuple[int, PredictionBatch]]:
        """Read all folds, or one path, date by date: (calendar index, that date's predictions in entity order).

        A date is never split; memory is 8,192 rows, the packed columns of one row group, and the largest date.
        """
        held: list[PredictionBatch] = []
        held_time = -1
        for batch in self.batches(rows_per_batch=DATE_BATCH_ROWS, path=path):
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


def _joined(parts: list[PredictionBatch]) -> PredictionBatch:
    if len(parts) == 1:
        return parts[0]
    return PredictionBatch(
        np.concatenate([p.row for p in parts]),
        np.concatenate([p.fold for p in parts]),
        np.concatenate([p.prediction for p in parts]),
    )


def _row_groups(path: Path, start: int, stop: int) -> list[int]:
    """List the row groups that hold rows ``start`` .. ``stop`` - 1 of a file."""
    metadata = pq.read_metadata(path)
    starts = np.cumsum([0, *(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))])[:-1]
    return [int(group) for group in np.flatnonzero((starts >= start) & (starts < stop))]


def _read(
    path: Path, columns: list[str], rows_per_batch: int, row_groups: list[int] | None = None
) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            yield from file.iter_batches(
                batch_size=rows_per_batch, columns=columns, row_groups=row_groups, use_threads=False
            )
    except (OSError, pa.ArrowException) as error:
        raise FormatError(str(path), "cannot be read as a prediction file", found=str(error).splitlines()[0]) from error


def open_predictions(
    panel: Path, folder: Path, target: str | None = None, member: str = "prediction"
) -> tuple[Panel, PredictionStore]:
    """Open predictions, or a column beside them, of one target, with the panel they were made from.

    Raises
    ------
    FormatError
        Where one of them is damaged, or folds predict different targets.
    ResumeError
        Where the predictions were made from another panel.
    ConfigError
        For a target that is not predicted.
    """
    opened, store = Panel(panel), PredictionStore(folder, target, member)
    for path, manifest in zip(store.paths, store.manifests, strict=True):
        if manifest["panel_key"] != opened.content_key:
            raise ResumeError(
                str(path),
                "these predictions were made from another panel",
                found=str(manifest["panel_key"]),
                allowed=opened.content_key,
                do="Predict again, or name the panel they were made from.",
            )
        if manifest.get("targets", [manifest["target"]]) != list(store.targets):
            where, found = str(path), str(manifest.get("targets", manifest["target"]))
            allowed = ", ".join(store.targets)
            raise FormatError(where, "folds predict different targets", found=found, allowed=allowed)
        if manifest.get("beside", []) != list(store.beside):
            found, allowed = ", ".join(manifest.get("beside", [])) or "none", ", ".join(store.beside) or "none"
            what, do = "folds have different seeds or baselines", "Run the predict stage again."
            raise FormatError(str(path), what, found=found, allowed=allowed, do=do)
    return opened, store
