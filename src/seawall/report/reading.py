"""Read a run folder into the records of the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from seawall.arrays import AnyArray
from seawall.errors import FormatError
from seawall.report.fields import Fields, as_number, read_fields
from seawall.report.records import (
    Block,
    Daily,
    Equity,
    Fold,
    PanelFacts,
    RunRecords,
    Segment,
    Strategy,
    Training,
    Unit,
)
from seawall.report.timeline import read_timeline

RUN_FORMAT = "seawall-run/1"

STAGE_ORDER = ("ingest", "folds", "train", "predict", "evaluate", "join", "backtest", "search")
"""Order of the flow, which ``run.json`` does not keep: its keys are sorted."""

TRAIN_STAGES = ("folds", "train")
"""Stages that the section ``train`` of a config asks for alone."""

PREDICTION_STAGES = ("predict", "evaluate", "join")
"""Stages that ``train`` asks for, and ``predictions`` of others as well."""


def read_run(folder: Path) -> RunRecords:
    """Read all records of a run folder.

    Memory grows with the dates of the test segments (32 bytes each, and 32 more per strategy), not with predictions.

    Raises
    ------
    FormatError
        Where ``run.json`` is missing, or a record that is there cannot be read.
    """
    run = read_fields(folder / "run.json")
    if run.text("format") != RUN_FORMAT:
        found = repr(run.text("format")) if run else "no run.json"
        raise FormatError(
            str(folder),
            "not a run folder",
            found=found,
            allowed=RUN_FORMAT,
            do="Name the folder that seawall run wrote.",
        )
    units = tuple(
        _unit(name, Fields(record)) for name, record in run.part("units").values.items() if isinstance(record, dict)
    )
    summary = next((unit.summary for unit in units if unit.stage == "ingest"), Fields({}))
    manifest = _manifest(folder, summary.text("panel"))
    config_text = _text(folder / "config.yaml")
    config = _yaml(folder / "config.yaml", config_text)
    is_trained, is_traded = _is_asked(config, "train"), _is_asked(config, "backtest")
    is_predicted = is_trained or _is_asked(config, "predictions")
    left_out = (() if is_trained else TRAIN_STAGES) + (() if is_predicted else PREDICTION_STAGES)
    left_out += () if is_traded else ("backtest",)
    metrics = read_fields(folder / "metrics" / "metrics.json") if is_predicted else Fields({})
    return RunRecords(
        name=run.text("name") or folder.name,
        # The report is being written: its own record, if there is one, is from an earlier report.
        units=tuple(sorted((unit for unit in units if unit.stage not in ("report", *left_out)), key=_place)),
        config_text=config_text,
        config=config,
        plan=read_fields(folder / "plan.json"),
        panel=_panel_facts(summary.text("panel") or "", manifest) if manifest else None,
        ingest=summary.part("ingest") or manifest.part("ingest"),
        folds=tuple(read_fold(fields) for fields in read_fields(folder / "folds.json").parts("folds") if is_trained),
        trainings=_trainings(folder / "models") if is_trained else (),
        metrics=metrics,
        overall=_block(metrics.part("overall"), None) if metrics.part("overall") else None,
        blocks=tuple(_block(fields, fields.count("fold")) for fields in metrics.parts("folds")),
        paths=tuple(_block(fields, None, fields.count("path")) for fields in metrics.parts("paths")),
        daily=_daily(folder / "metrics" / "daily.parquet") if is_predicted else None,
        coverage=read_fields(folder / "backtest" / "coverage.json") if is_predicted else Fields({}),
        strategies=_strategies(folder / "backtest") if is_traded else (),
        search=read_fields(folder / "search" / "summary.json"),
        timeline=read_timeline(path) if (path := folder / "memory.parquet").is_file() else None,
    )


def _is_asked(config: Mapping[str, Any], section: str) -> bool:
    """Tell whether the config asks for a section: results of one that was taken out are kept, and not shown."""
    return not config or config.get(section) is not None


def _unit(name: str, record: Fields) -> Unit:
    return Unit(
        name=name,
        stage=record.text("stage") or name,
        fold=record.count("fold"),
        key=record.text("key") or "",
        fence=record.text("fence") or "",
        projected_private_bytes=record.number("projected_private_bytes"),
        projected_cgroup_bytes=record.number("projected_cgroup_bytes"),
        measured_private_bytes=record.number("measured_private_bytes"),
        cgroup_peak_bytes=record.number("cgroup_peak_bytes"),
        parent_private_bytes=record.number("parent_private_bytes"),
        declared_bytes=record.number("declared_bytes"),
        wall_seconds=record.number("wall_seconds"),
        cpu_seconds=record.number("cpu_seconds"),
        summary=record.part("summary"),
        finished=record.text("finished"),
    )


def _place(unit: Unit) -> tuple[int, int, str]:
    known = STAGE_ORDER.index(unit.stage) if unit.stage in STAGE_ORDER else len(STAGE_ORDER)
    return known, -1 if unit.fold is None else unit.fold, unit.name


def _manifest(folder: Path, panel: str | None) -> Fields:
    if panel is None:
        return Fields({})
    return read_fields(folder / panel / "panel.json") or read_fields(Path(panel) / "panel.json")


def _panel_facts(path: str, manifest: Fields) -> PanelFacts:
    columns = manifest.parts("columns")
    return PanelFacts(
        name=Path(path).name.removesuffix(".panel"),
        content_key=manifest.text("content_key") or "",
        num_rows=manifest.count("num_rows"),
        num_entities=manifest.count("num_entities"),
        num_dates=manifest.count("num_dates"),
        features=tuple(column.text("name") or "" for column in columns if column.text("group") == "features"),
        targets=manifest.parts("targets"),
    )


def read_fold(fields: Fields) -> Fold:
    """Read the record of one fold."""
    kinds = [kind for kind in ("train", "valid", "test") if fields.part(kind)]
    segments = tuple(_segment(kind, fields.part(kind)) for kind in kinds)
    pieces: list[Segment] = []
    for segment in segments:
        ranges = fields.part(segment.kind).parts("ranges")
        pieces += [_segment(segment.kind, part) for part in ranges] or [segment]
    for kind in ("purged", "embargo"):
        pieces += [_segment(kind, part) for part in fields.parts(kind)]
    return Fold(fields.count("fold") or 0, segments, tuple(pieces))


def _segment(kind: str, fields: Fields) -> Segment:
    start, stop = fields.count("start"), fields.count("stop")
    first, last, until = (fields.values.get(key) for key in ("first_time", "last_time", "until"))
    return Segment(
        kind=kind,
        first_time=first if isinstance(first, str | int) else None,
        last_time=last if isinstance(last, str | int) else None,
        num_dates=None if start is None or stop is None else stop - start,
        num_samples=fields.count("num_samples"),
        num_purged=fields.count("num_purged"),
        until=until if isinstance(until, str | int) else None,
    )


def _trainings(models: Path) -> tuple[Training, ...]:
    found = []
    for path in sorted([*models.glob("fold_*/history.json"), *models.glob("fold_*/*/history.json")]):
        history, of_fold = read_fields(path), path.parent.parent == models
        place, member = (path.parent, "") if of_fold else (path.parent.parent, path.parent.name)
        found.append(
            Training(
                member=member,
                fold=int(place.name.removeprefix("fold_")),
                epochs=history.parts("epochs"),
                best_epoch=history.count("best_epoch"),
                stopped=history.text("stopped"),
                model=read_fields(path.with_name("model.json")),
            )
        )
    return tuple(sorted(found, key=lambda training: (training.is_baseline, training.fold, training.member)))


def _block(fields: Fields, fold: int | None, path: int | None = None) -> Block:
    quantiles = tuple(as_number(value) for value in fields.items("quantiles"))
    return Block(fold, fields.part("pooled"), fields.part("ic"), fields.part("rank_ic"), quantiles, path, fields)


def _daily(path: Path) -> Daily | None:
    columns = _columns(path, ("time", "num_names", "ic", "rank_ic"))
    if columns is None:
        return None
    return Daily(
        times=columns["time"],
        num_names=columns["num_names"].astype(np.int64),
        ic=columns["ic"].astype(np.float64),
        rank_ic=columns["rank_ic"].astype(np.float64),
    )


def _strategies(backtest: Path) -> tuple[Strategy, ...]:
    folders = sorted(path.parent for path in backtest.glob("*/statistics.json"))
    return tuple(
        Strategy(path.name, read_fields(path / "statistics.json"), _equity(path / "equity.parquet")) for path in folders
    )


def _equity(path: Path) -> Equity | None:
    columns = _columns(path, ("time", "equity", "period_return", "gross_return"), ("benchmark_return",))
    if columns is None:
        return None
    values = {name: columns[name].astype(np.float64) for name in ("equity", "period_return", "gross_return")}
    benchmark = columns.get("benchmark_return")
    has_benchmark = benchmark is not None and not np.isnan(benchmark).all()
    return Equity(times=columns["time"], **values, benchmark_return=benchmark if has_benchmark else None)


def _columns(path: Path, names: tuple[str, ...], if_there: tuple[str, ...] = ()) -> dict[str, AnyArray] | None:
    if not path.is_file():
        return None
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            found = (*names, *(name for name in if_there if name in file.schema_arrow.names))
            table = file.read(columns=list(found), use_threads=False)
        return {name: _array(table.column(name)) for name in found}
    except (OSError, KeyError, pa.ArrowException) as error:
        raise FormatError(
            str(path), "cannot be read", found=str(error).splitlines()[0], do="Run the same command again."
        ) from error


def _array(column: pa.ChunkedArray) -> AnyArray:
    if pa.types.is_timestamp(column.type):
        return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64).view(f"datetime64[{column.type.unit}]")
    return np.asarray(column.to_numpy())


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _yaml(path: Path, text: str) -> Mapping[str, Any]:
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FormatError(str(path), "cannot be read as YAML", found=str(error).splitlines()[0]) from error
    return loaded if isinstance(loaded, dict) else {}
