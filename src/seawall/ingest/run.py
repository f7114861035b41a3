"""The ingest stage: sample, scatter, build, publish. Reads like the pass of the design."""

import shutil
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seawall.arrays import AnyArray, Bool, Int64
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import BudgetError, ConfigError, DataError, nearest
from seawall.ingest.bucket import Builder
from seawall.ingest.config import IngestConfig
from seawall.ingest.memory import SQL_FLOOR_BYTES, plan
from seawall.ingest.probe import estimate
from seawall.ingest.scatter import DropRules, Scatter, record_dtype, split_points
from seawall.ingest.sources import source_files
from seawall.stores.panel import TargetSpec
from seawall.stores.panel_writer import ColumnSpec, PanelSpec, PanelWriter
from seawall.stores.shape import PanelShape
from seawall.tables.engine import SqlEngine, limit_for_share
from seawall.tables.read import BadRow, RawBlock, TypedReadError, read_blocks, read_rows_checked, require_columns
from seawall.tables.sample import TableSample, take_sample
from seawall.tables.sources import SourceFile, check_unchanged, fingerprint
from seawall.tables.times import TimeFormat, infer_format, parse_texts
from seawall.units import MIB, format_bytes


def ingest(config: IngestConfig, output: Path, *, budget_bytes: int, beat: Beat = silent) -> dict[str, Any]:
    """Read tables into a panel store.

    The present store, if any, stays readable until the new one is complete. Private memory is what
    :func:`seawall.ingest.memory.plan` claims; disk needs one copy of the rows beside the store.

    Parameters
    ----------
    output
        The ``NAME.panel`` folder.
    budget_bytes
        What the stage may use in all, page cache included.

    Returns
    -------
    dict
        The panel's path, sizes, content key, ingest report, and the plan as it was once the counts were exact.

    Raises
    ------
    DataError, ConfigError, BudgetError
        Bad input, with file and line; what was there before is untouched.
    """
    files = source_files(config.sources)
    for file in files:
        require_columns(file, (config.entity, config.time, *config.value_columns))
    fingerprints = [fingerprint(file) for file in files]
    work = output.with_name(f".{output.name}.ingest")
    shutil.rmtree(work, ignore_errors=True)
    _make_folder(work)
    try:
        return _ingest(config, files, fingerprints, output, work, budget_bytes, beat)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(
            f"output {path.parent}",
            "the folder cannot be written",
            found=error.strerror or str(error),
            do="Choose another output.",
        ) from error


def _ingest(
    config: IngestConfig,
    files: list[Path],
    fingerprints: list[SourceFile],
    output: Path,
    work: Path,
    budget_bytes: int,
    beat: Beat,
) -> dict[str, Any]:
    beat("sample")
    sample = take_sample(files, config.entity, config.time)
    first_plan = plan(config, estimate(config, sample), budget_bytes)
    time_format = _time_format(config, sample)
    splits = split_points(sample.entities, first_plan.neutral["num_buckets"])
    with SqlEngine(limit_for_share(SQL_FLOOR_BYTES + 64 * MIB), work) as engine:
        with Scatter(work, splits, len(config.value_columns), config.max_bad_rows) as scatter:
            for number, file in enumerate(files):
                beat("read and scatter", number, len(files))
                _scatter_file(file, config, scatter, time_format, _rules(config, engine), beat)
            scatter.close()
        for before in fingerprints:
            check_unchanged(before)
        shape = _exact_shape(config, scatter)
        exact_plan = plan(config, shape, budget_bytes)
        if exact_plan.projected_cgroup_bytes > budget_bytes:
            raise _too_small(exact_plan.projected_cgroup_bytes, budget_bytes, shape)
        manifest = _build(config, scatter, output, engine, exact_plan.neutral, fingerprints, time_format, beat)
    return {
        "panel": str(output),
        "content_key": manifest["content_key"],
        "shape": shape.record(),
        "ingest": manifest["ingest"],
        "plan": exact_plan.record(),
    }


def _time_format(config: IngestConfig, sample: TableSample) -> TimeFormat | None:
    """Take the declared format, or infer it; typed columns need none."""
    if config.time_format is not None:
        return TimeFormat(config.time_format)
    if not sample.time_texts:
        return None
    return infer_format(list(sample.time_texts), where=f"column {config.time}")


def _rules(config: IngestConfig, engine: SqlEngine) -> DropRules:
    """Compile the row rules; each sees one row at a time."""

    def evaluate(block: RawBlock, times: Int64) -> dict[str, Bool]:
        if not config.drop_rows:
            return {}
        columns = {"__id": pa.array(np.arange(len(times))), config.time: pa.array(times)}
        for place, name in enumerate(config.value_columns):
            columns[name] = pa.array(block.values[:, place], from_pandas=True)
        hits = engine.evaluate(pa.table(columns), config.drop_rows, window="", where="ingest.drop_rows")
        return {name: hits[:, place] == 1.0 for place, name in enumerate(config.drop_rows)}

    return evaluate


def _scatter_file(
    file: Path, config: IngestConfig, scatter: Scatter, time_format: TimeFormat | None, rules: DropRules, beat: Beat
) -> None:
    """Scatter a file the fast way; where a value does not convert, forget it and read it again row by row."""
    where = str(file)
    marked = scatter.mark()
    keys = (file, config.entity, config.time, config.value_columns)
    try:
        for block in read_blocks(*keys):
            scatter.add(block, time_format, where, rules)
            beat("read and scatter", scatter.tally.rows_read)
    except TypedReadError:
        scatter.roll_back(marked)
        bad: list[BadRow] = []
        for block in read_rows_checked(*keys, bad):
            scatter.note_bad_rows(bad, where)
            bad.clear()
            scatter.add(block, time_format, where, rules)
            beat("read row by row", scatter.tally.rows_read)
        scatter.note_bad_rows(bad, where)


def _exact_shape(config: IngestConfig, scatter: Scatter) -> PanelShape:
    counts = scatter.tally.rows_per_code
    if not scatter.tally.rows_kept:
        raise DataError(
            "ingest",
            "no row is left",
            found=f"{scatter.tally.rows_read:,} rows read",
            do="Check drop_rows and the time format.",
        )
    return PanelShape(
        num_rows=scatter.tally.rows_kept,
        num_entities=int((counts > 0).sum()),
        num_dates=len(scatter.tally.calendar),
        num_features=len(config.features),
        num_targets=len(config.targets),
        num_prices=len(config.prices),
        max_rows_per_entity=int(counts.max()),
        max_rows_per_date=int((counts > 0).sum()),
    )


def _too_small(needed_bytes: int, budget_bytes: int, shape: PanelShape) -> BudgetError:
    return BudgetError(
        "ingest",
        f"a bucket must hold the longest entity ({shape.max_rows_per_entity:,} rows)",
        found=f"{format_bytes(budget_bytes)} for the stage",
        allowed=f"{format_bytes(needed_bytes)} or more",
        do=f"Declare --memory {needed_bytes // MIB + 33}MiB.",
    )


def _build(
    config: IngestConfig,
    scatter: Scatter,
    output: Path,
    engine: SqlEngine,
    knobs: dict[str, int],
    fingerprints: list[SourceFile],
    time_format: TimeFormat | None,
    beat: Beat,
) -> dict[str, Any]:
    names = sorted(
        (name for name, code in scatter.codes.items() if scatter.tally.rows_per_code[code]), key=lambda n: n.encode()
    )
    rank_of_code = np.full(len(scatter.codes), -1, np.int64)
    rank_of_code[[scatter.codes[name] for name in names]] = np.arange(len(names))
    calendar, kind = scatter.tally.calendar, scatter.calendar_kind
    declared = _declared(config, time_format, names)
    builder = Builder(config, calendar, kind, names, rank_of_code, engine, declared)
    paths = _even_buckets(scatter, rank_of_code, knobs["bucket_bytes"], len(config.value_columns))
    with PanelWriter(output, _spec(config, kind), calendar) as writer:
        for number, path in enumerate(paths):
            beat("sort and compute", number, len(paths))
            block = builder.build(path)
            path.unlink()
            if block is not None:
                writer.append(block)
        if builder.quality.all_missing:
            name = builder.quality.all_missing[0]
            raise DataError(
                f"ingest.features: {name}",
                "every value is missing",
                do="Mend the expression or its source column, or leave it out.",
            )
        beat("index and checksum", len(paths), len(paths))
        report = _report(scatter, builder)
        return writer.finish(sources=[f.record() for f in fingerprints], ingest=report, slab_bytes=knobs["slab_bytes"])


def _report(scatter: Scatter, builder: Builder) -> dict[str, Any]:
    tally = scatter.tally
    return {
        "rows_read": tally.rows_read,
        "rows_kept": builder.quality.rows,
        "bad_rows": dict(sorted(tally.bad_rows.items())),
        "first_bad_rows": [f"{bad.file}, line {bad.line}: {bad.reason}: {bad.text!r}" for bad in scatter.first_bad],
        "dropped_rows": dict(sorted(tally.dropped_rows.items())),
        "first_time": builder.time_text(int(tally.calendar[0])),
        "last_time": builder.time_text(int(tally.calendar[-1])),
        **builder.quality.record(),
    }


def _declared(config: IngestConfig, time_format: TimeFormat | None, names: list[str]) -> dict[tuple[str, int], float]:
    found: dict[tuple[str, int], float] = {}
    for declared in config.adjustment.declared:
        where = f"ingest.adjustment.declared: {declared.entity} {declared.time}"
        if declared.entity not in names:
            raise ConfigError(
                where, "unknown entity", found=repr(declared.entity), do=nearest(declared.entity, names).capitalize()
            )
        times, valid = parse_texts(pa.array([declared.time]), time_format or TimeFormat("iso"))
        if not valid[0]:
            raise ConfigError(where, "the time does not fit the format of the source", found=repr(declared.time))
        found[declared.entity, int(times[0])] = declared.factor
    return found


def _spec(config: IngestConfig, kind: str) -> PanelSpec:
    targets = tuple(
        TargetSpec(
            name,
            "forward_return",
            t.forward_return.column,
            t.forward_return.horizon_periods,
            t.forward_return.delay_periods,
        )
        for name, t in config.targets.items()
    )
    return PanelSpec(
        calendar_kind=kind,
        columns=(
            *(ColumnSpec(name, "features", "float32", "", text) for name, text in config.features.items()),
            *(ColumnSpec(name, "targets", "float32", "return") for name in config.targets),
            *(ColumnSpec(name, "prices", "float64", "source price") for name in config.prices),
        ),
        targets=targets,
    )


def _even_buckets(scatter: Scatter, rank_of_code: Int64, bucket_bytes: int, num_values: int) -> list[Path]:
    """Split bucket files that came out much larger than planned, now that the rows of each entity are known."""
    dtype = record_dtype(num_values)
    even: list[Path] = []
    for path in scatter.paths:
        size_bytes = path.stat().st_size
        even += [path] if size_bytes <= 1.5 * bucket_bytes else _split(path, rank_of_code, bucket_bytes, dtype)
    return even


def _split(path: Path, rank_of_code: Int64, bucket_bytes: int, dtype: np.dtype) -> list[Path]:
    rows_per_read = max(1, bucket_bytes // 4 // dtype.itemsize)
    per_rank = np.zeros(len(rank_of_code) + 1, np.int64)
    for records in _records(path, dtype, rows_per_read):
        per_rank += np.bincount(rank_of_code[records["code"]], minlength=len(per_rank))
    group = (np.cumsum(per_rank) - per_rank) * dtype.itemsize // bucket_bytes
    numbers = np.unique(group[per_rank > 0])
    parts = [path.with_suffix(f".{number:05d}") for number in range(len(numbers))]
    part_of_rank = np.array([bisect_right(numbers.tolist(), int(g)) - 1 for g in group])
    files = [part.open("wb") for part in parts]
    try:
        for records in _records(path, dtype, rows_per_read):
            part_of_row = part_of_rank[rank_of_code[records["code"]]]
            for part in np.unique(part_of_row):
                files[part].write(records[part_of_row == part].tobytes())
    finally:
        for file in files:
            file.close()
    path.unlink()
    return parts


def _records(path: Path, dtype: np.dtype, rows_per_read: int) -> Iterator[AnyArray]:
    with path.open("rb") as file:
        while len(records := np.fromfile(file, dtype, rows_per_read)):
            yield records
