"""The ingest stage: sample, scatter, build, publish. Reads like the pass of the design."""

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seawall.arrays import AnyArray
from seawall.budget.environment import give_back_free_memory
from seawall.budget.heartbeat import Beat, silent
from seawall.errors import BudgetError, ConfigError, DataError, SeawallError, ends_for_good, nearest
from seawall.ingest.attributes import attributes_of, group_codes
from seawall.ingest.bucket import Builder
from seawall.ingest.built import Built, BuiltCheckpoint
from seawall.ingest.by_date import DatePass, Rows
from seawall.ingest.checkpoint import DATES_NAME, has_checkpoint, open_work, resume_key
from seawall.ingest.config import IngestConfig, Target
from seawall.ingest.date_checkpoint import DateCheckpoint
from seawall.ingest.feature_sets.catalogue import SETS
from seawall.ingest.first_pass import FirstPass
from seawall.ingest.joined import join_tables, take_over
from seawall.ingest.lookahead import check_expressions
from seawall.ingest.memory import DATE_BYTES, SQL_FLOOR_BYTES, plan
from seawall.ingest.pieces import Around, rows_around, write_pieces
from seawall.ingest.probe import estimate
from seawall.ingest.quality import look_alikes
from seawall.ingest.reach import features_back, without_bound
from seawall.ingest.recipe import kept_columns, recipe_of
from seawall.ingest.roles import ROLE_UNITS
from seawall.ingest.scatter import Scatter, split_points
from seawall.ingest.sources import input_files, source_files
from seawall.ingest.split import BucketSize, LongEntity, even_buckets
from seawall.ingest.tables import guesses, opened_tables, time_format_of
from seawall.stores.panel import TargetSpec
from seawall.stores.panel_writer import ColumnSpec, PanelSpec, PanelWriter, check_output
from seawall.stores.segments import ARRAYS
from seawall.stores.shape import ROLE_BYTES, PanelShape, read_shape
from seawall.tables.clock import ISO, STEP
from seawall.tables.engine import SqlEngine, limit_for_share
from seawall.tables.sample import sample_tables
from seawall.tables.sources import SourceFile, check_unchanged, fingerprint
from seawall.tables.times import TimeFormat, parse_texts
from seawall.units import MIB, format_bytes


def ingest(
    config: IngestConfig, output: Path, *, budget_bytes: int, knob_bytes: int | None = None, beat: Beat = silent
) -> dict[str, Any]:
    """Read tables into a panel store.

    The present store, if any, stays readable until the new one is complete. Killed, the same call goes on from the last
    checkpoint: at most ``config.checkpoint_seconds`` of either pass are repeated. Private memory is what
    :func:`seawall.ingest.memory.plan` claims; disk needs one copy of the rows beside the store.

    Parameters
    ----------
    output
        The ``NAME.panel`` folder.
    budget_bytes
        What the stage may use in all, page cache included.
    knob_bytes
        What the knobs that change no result are chosen for, where that is less than the budget.

    Returns
    -------
    dict
        The panel's path, sizes, content key, ingest report, and the plan as it was once the counts were exact.

    Raises
    ------
    DataError, ConfigError, BudgetError
        Bad input, with file and line; what was there before is untouched.
    """
    check_output(output)
    files = source_files(config.sources)
    fingerprints = [fingerprint(file) for file in input_files(config)]
    work = output.with_name(f".{output.name}.ingest")
    open_work(work, resume_key(config, fingerprints))
    knob_bytes = budget_bytes if knob_bytes is None else min(knob_bytes, budget_bytes)
    try:
        made = _ingest(_Job(config, files, fingerprints, output, work, beat), budget_bytes, knob_bytes)
    except SeawallError as error:
        if ends_for_good(type(error)):
            shutil.rmtree(work, ignore_errors=True)
        raise
    except OSError:  # a full disk, say
        if not has_checkpoint(work):
            shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work, ignore_errors=True)
    return made


@dataclass(frozen=True, slots=True)
class _Job:
    """One ingest: what is read, where it goes, and where it is told."""

    config: IngestConfig
    files: list[Path]
    fingerprints: list[SourceFile]
    output: Path
    work: Path
    beat: Beat


def _ingest(job: _Job, budget_bytes: int, knob_bytes: int) -> dict[str, Any]:
    config, work = job.config, job.work
    job.beat("sample")
    check_expressions(config)
    tables = opened_tables(config, job.files)
    sample = sample_tables(tables)
    estimated = estimate(config, sample)
    first_plan = plan(config, estimated, knob_bytes)
    knobs, counted = first_plan.neutral, _of_rows(job.beat, sample.estimated_rows, sample.source_bytes)
    splits = split_points(sample.entities, knobs["num_buckets"])
    with ExitStack() as stack:
        engine = stack.enter_context(SqlEngine(limit_for_share(SQL_FLOOR_BYTES + 64 * MIB), work))
        first_pass = FirstPass(knobs, engine, stack, counted)
        joined = join_tables(config, tables, sample, work, first_pass) if config.tables else None
        read = tables if joined is None else [joined.table]
        time_format = time_format_of(config, sample) if joined is None else joined.time_format
        scatter, time_format = first_pass(config, read, work, splits, time_format)
        if joined is not None:
            take_over(joined, scatter)
        give_back_free_memory()
        for before in job.fingerprints:
            check_unchanged(before)
        shape = replace(
            _exact_shape(config, scatter),
            page_bytes=sample.page_bytes,
            source_bytes=sample.source_bytes,
            rows_around=estimated.rows_around,
        )
        largest_bytes = scatter.layout.record_bytes * max(map(scatter.spill.num_rows, range(scatter.spill.num_parts)))
        exact_plan = plan(config, shape, knob_bytes, largest_bucket_bytes=largest_bytes)
        if exact_plan.projected_cgroup_bytes > budget_bytes:
            raise _too_small(config, exact_plan.projected_cgroup_bytes, budget_bytes, shape)
        scatter.guesses = guesses(tables, time_format)
        manifest = _build(job, scatter, engine, exact_plan.neutral, time_format)
    return {
        "panel": str(job.output),
        "content_key": manifest["content_key"],
        "shape": read_shape(job.output).record(),
        "ingest": manifest["ingest"],
        "plan": exact_plan.record(),
    }


def _of_rows(beat: Beat, num_rows: int, num_bytes: int) -> Beat:
    """Give a beat that counts rows of so many, which stand for so many bytes."""

    def counted(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        beat(substep, done, total or num_rows, source_bytes=num_bytes, **numbers)

    return counted


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
        num_features=len(config.feature_names),
        num_targets=len(config.targets),
        num_prices=len(config.prices),
        num_values=len(kept_columns(config)),
        role_bytes=sum(ROLE_BYTES[role] for role in config.roles),
        max_rows_per_entity=int(counts.max()),
        max_rows_per_date=int((counts > 0).sum()),
    )


def _too_small(config: IngestConfig, needed_bytes: int, budget_bytes: int, shape: PanelShape) -> BudgetError:
    unbounded = [name.removeprefix("__") for name in without_bound(config)]
    what = f"{shape.num_dates:,} times are counted in memory, {DATE_BYTES} B each, beside a bucket of rows"
    do = f"Declare --memory {needed_bytes // MIB + 33}MiB."
    if unbounded:
        what = (
            f"{', '.join(map(repr, unbounded[:3]))} may read all earlier rows of an entity, so that the longest"
            f" ({shape.max_rows_per_entity:,} rows) must be held whole"
        )
        do += " Or give the frames a bound, such as ROWS 249 PRECEDING."
    elif config.layout.wide == "*" or config.tables:
        what = f"a bucket must hold the longest entity ({shape.max_rows_per_entity:,} rows)"
    return BudgetError(
        "ingest",
        what,
        found=f"{format_bytes(budget_bytes)} for the stage",
        allowed=f"{format_bytes(needed_bytes)} or more",
        do=do,
    )


def _build(
    job: _Job, scatter: Scatter, engine: SqlEngine, knobs: dict[str, int], time_format: TimeFormat | None
) -> dict[str, Any]:
    config, output, beat = job.config, job.output, job.beat
    names = sorted(
        (name for name, code in scatter.codes.items() if scatter.tally.rows_per_code[code]), key=lambda n: n.encode()
    )
    rank_of_code = np.full(len(scatter.codes), -1, np.int64)
    rank_of_code[[scatter.codes[name] for name in names]] = np.arange(len(names))
    calendar, kind = scatter.tally.calendar, scatter.calendar_kind
    declared = declared_breaks(config, time_format or TimeFormat(STEP if kind == STEP else ISO), names)
    layout, spec = scatter.layout, _spec(config, kind)
    checkpoint, by_date = BuiltCheckpoint(job.work, config.checkpoint_seconds), DateCheckpoint(job.work / DATES_NAME)
    before, num_rows = checkpoint.load(output, spec), scatter.tally.rows_kept
    if before.num_rows < num_rows:
        by_date.forget()
    builder = Builder(config, calendar, kind, names, rank_of_code, engine, declared, layout)
    if before.quality is not None:
        builder.quality.take_over(before.quality)
    else:
        _take_narrow_counts(config, scatter, builder)
    size = BucketSize(
        max(1, knobs["bucket_bytes"] // layout.record_bytes), min(knobs["staging_bytes"], knobs["bucket_bytes"])
    )
    back = features_back(config)
    around = rows_around(config, back)
    with PanelWriter(output, spec, calendar, settled=before.settled, num_rows=num_rows) as writer:
        done = before.num_rows
        for records in even_buckets(scatter.spill, rank_of_code, size, first_row=done):
            beat("sort and compute", done, num_rows, source_bytes=num_rows * layout.record_bytes)
            _write(records, builder, writer, around)
            done += len(records)
            if checkpoint.is_due:
                checkpoint.save(Built(done, writer.settle(), builder.quality))
        empty = [name for name in builder.quality.all_missing if name in config.features]  # a set may outlast the data
        if empty:
            raise DataError(
                f"ingest.features: {empty[0]}",
                "every value is missing",
                do="Mend the expression or its source column, or leave it out.",
            )
        give_back_free_memory()
        beat("index and checksum", num_rows, num_rows)
        report, attributes = _report(scatter, builder) | {"look_alikes": look_alikes(names)}, None
        if config.static is not None:
            attributes, report["static"] = attributes_of(config, config.static, names)
            writer.set_attributes(attributes)
        if config.compares_names:
            if before.num_rows < num_rows:  # from here on the rows are changed in place, and made no more
                checkpoint.save(Built(num_rows, writer.settle(), builder.quality))
            codes = group_codes(config, attributes, names)
            with DatePass(config, Rows(*writer.close_rows()), codes, knobs["date_rows"], by_date) as dates:
                dates.run(beat)
            report["missing_shares"] |= dates.missing_shares()
        return writer.finish(
            sources=[f.record() for f in job.fingerprints],
            ingest=report,
            slab_bytes=knobs["slab_bytes"],
            recipe=recipe_of(config, time_format.name if time_format else None, back),
        )


def _write(records: AnyArray | LongEntity, builder: Builder, writer: PanelWriter, around: Around | None) -> None:
    """Compute and write whole entities: many short ones, or a long one, piece by piece where its values allow it."""
    if not isinstance(records, LongEntity):
        writer.append(builder.build(records))
    elif around is None:
        writer.append(builder.build(records.whole()))
    else:
        write_pieces(records.pieces(builder.calendar), builder, around, writer)


def _take_narrow_counts(config: IngestConfig, scatter: Scatter, builder: Builder) -> None:
    """Take over what the first pass has counted about features as they are."""
    layout = scatter.layout
    for place, name in enumerate(config.features):
        if layout.plain.get(name) in layout.narrow:
            builder.quality.take_counts(scatter.tally.narrow, place, layout.narrow.index(layout.plain[name]))


def _report(scatter: Scatter, builder: Builder) -> dict[str, Any]:
    tally = scatter.tally
    return {
        "guesses": scatter.guesses,
        "joined": scatter.joined,
        "rows_read": tally.rows_read,
        "rows_kept": builder.quality.rows,
        "bad_rows": dict(sorted(tally.bad_rows.items())),
        "first_bad_rows": [f"{bad.file}, line {bad.line}: {bad.reason}: {bad.text!r}" for bad in tally.first_bad],
        "rows_out_of_order": tally.disorder.num_rows,
        "dropped_rows": dict(sorted(tally.dropped_rows.items())),
        "first_time": builder.time_text(int(tally.calendar[0])),
        "last_time": builder.time_text(int(tally.calendar[-1])),
        **builder.quality.record(),
    }


def declared_breaks(config: IngestConfig, time_format: TimeFormat, names: list[str]) -> dict[tuple[str, int], float]:
    """Give the factors of declared breaks by (entity, time).

    Raises
    ------
    ConfigError
        For an entity that is not in ``names``, or a time in another format.
    """
    found: dict[tuple[str, int], float] = {}
    for declared in config.adjustment.declared:
        where = f"ingest.adjustment.declared: {declared.entity} {declared.time}"
        if declared.entity not in names:
            raise ConfigError(where, "unknown entity", found=repr(declared.entity), do=nearest(declared.entity, names))
        times, valid = parse_texts(pa.array([declared.time]), time_format)
        if not valid[0]:
            raise ConfigError(where, "the time does not fit the format of the source", found=repr(declared.time))
        key = declared.entity, int(times[0])
        found[key] = found.get(key, 1.0) * declared.factor
    return found


def _set_formulas(config: IngestConfig) -> list[tuple[str, str]]:
    """Name and formula of each feature of the sets."""
    found: list[tuple[str, str]] = []
    for chosen in config.feature_sets:
        formulas = {chosen.prefix + feature.name: feature.formula for feature in SETS[chosen.name].features}
        found += [(name, f"{chosen.name}: {formulas[name]}") for name in chosen.names]
    return found


def _unit(target: Target) -> str:
    return "return" if target.kind.endswith("return") and target.volatility_periods is None else ""


def _spec(config: IngestConfig, kind: str) -> PanelSpec:
    targets = tuple(
        TargetSpec(name, t.kind, t.source, t.declared.horizon_periods, t.declared.delay_periods)
        for name, t in config.targets.items()
    )
    return PanelSpec(
        calendar_kind=kind,
        columns=(
            *(ColumnSpec(name, "features", "float32", "", text) for name, text in config.features.items()),
            *(ColumnSpec(name, "features", "float32", "", text) for name, text in _set_formulas(config)),
            *(ColumnSpec(name, "features", "float32", "", rule.text) for name, rule in config.cross_sectional.items()),
            *(ColumnSpec(name, "targets", "float32", _unit(target)) for name, target in config.targets.items()),
            *(ColumnSpec(name, "prices", "float64", "source price") for name in config.prices),
            *(ColumnSpec(name, "values", "float64", "source value") for name in kept_columns(config)),
            *(
                ColumnSpec(name, role, str(np.dtype(ARRAYS[role][0])), ROLE_UNITS[role])
                for role, name in config.roles.items()
            ),
        ),
        targets=targets,
    )
