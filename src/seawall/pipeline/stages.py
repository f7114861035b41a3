"""The units of a run in order: what each depends on, which part of the config it reads, what it claims and writes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seawall.backtest.config import STAGE_VERSION as BACKTEST_VERSION
from seawall.backtest.memory import plan as plan_backtest
from seawall.budget.claims import Claim, StagePlan
from seawall.budget.processes import own_private_bytes
from seawall.errors import ConfigError, FormatError, nearest
from seawall.evaluate.config import STAGE_VERSION as EVALUATE_VERSION
from seawall.evaluate.memory import plan as plan_evaluate
from seawall.ingest.config import STAGE_VERSION as INGEST_VERSION
from seawall.ingest.config import IngestConfig
from seawall.ingest.memory import plan as plan_ingest
from seawall.ingest.sources import input_files, source_files
from seawall.join.config import OUTSIDE_VERSION
from seawall.join.config import STAGE_VERSION as JOIN_VERSION
from seawall.join.memory import plan as plan_join
from seawall.join.memory import plan_predictions
from seawall.pipeline.config import RunConfig
from seawall.pipeline.manifest import RunManifest, shown_path
from seawall.pipeline.saved import SavedModels, model_checksums
from seawall.report.config import STAGE_VERSION as REPORT_VERSION
from seawall.report.memory import plan as plan_report
from seawall.search.config import STAGE_VERSION as SEARCH_VERSION
from seawall.search.config import SearchConfig
from seawall.search.memory import PANEL_ROW_BYTES, plan_shard
from seawall.search.memory import plan as plan_search
from seawall.stores.atomic import text_key
from seawall.stores.shape import PanelShape, read_manifest
from seawall.tables.sources import fingerprint
from seawall.train.config import FIT_VERSION, FOLDS_VERSION, PREDICT_VERSION, TrainConfig
from seawall.train.members import baseline_members, member_folder, of_member, seeds_of, trained_members
from seawall.train.members_config import column_members
from seawall.train.members_memory import plan_predict_members
from seawall.train.memory import plan_fit, plan_folds

STAGES = ("ingest", "folds", "train", "predict", "evaluate", "join", "backtest", "search", "report")
"""Stages in order of the flow."""

FOLD_STAGES = ("train", "predict")
"""Stages with a unit for each fold."""

UPKEEP = ("append", "compact", "export", "import", "latest")
"""Work on a panel store outside any run."""

VERSIONS = {
    "ingest": INGEST_VERSION,
    "folds": FOLDS_VERSION,
    "train": FIT_VERSION,
    "predict": PREDICT_VERSION,
    "evaluate": EVALUATE_VERSION,
    "join": JOIN_VERSION,
    "backtest": BACKTEST_VERSION,
    "search": SEARCH_VERSION,
    "report": REPORT_VERSION,
}

PARENT_BYTES = 32 * 1024 * 1024
"""What the waiting parent may hold; 20-25 MiB measured with the progress display on."""


def parent_share_bytes() -> int:
    """Give what this process holds beside its stages: the small parent's share, or all of a notebook kernel's own."""
    return max(PARENT_BYTES, own_private_bytes())


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece of work that a child does: a stage, one fold of it, or one part of a search's sweep."""

    stage: str
    fold: int | None = None
    member: str = ""
    """Of several models of a fold, the one (train/members.py)."""

    @property
    def name(self) -> str:
        """Name in run.json and in the timeline."""
        if self.stage == "sweep":
            return f"sweep/part_{self.fold:03d}"
        of_fold = self.stage if self.fold is None else f"{self.stage}/fold_{self.fold:02d}"
        return f"{of_fold}/{self.member}" if self.member else of_fold


@dataclass(frozen=True, slots=True)
class Folds:
    """What planning must know about the folds, read from folds.json."""

    num_train_samples: tuple[int, ...]
    num_test_samples: tuple[int, ...]
    outside: dict[str, Any] | None = None
    """Sizes of the tables whose predictions are taken in place of folds."""

    @classmethod
    def read(cls, path: Path) -> "Folds":
        """Read the sample counts of each fold.

        Raises
        ------
        FormatError
            Where the file is missing or damaged.
        """
        try:
            folds = json.loads(path.read_text(encoding="utf-8"))["folds"]
            return cls(
                tuple(int(fold["train"]["num_samples"]) for fold in folds),
                tuple(int(fold["test"]["num_samples"]) for fold in folds),
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise FormatError(str(path), "cannot be read", found=str(error), do="Run the stage folds again.") from error

    @classmethod
    def guess(cls, shape: PanelShape, train: TrainConfig | None) -> "Folds":
        """Before ingest: one fold, of every row where its lengths are spans of time, else of no more than its dates."""
        if train is None:
            return cls((shape.num_rows,), (shape.num_rows,))
        if train.folds.num_groups is not None:
            return cls((shape.num_rows,), (shape.num_rows,))
        lengths = (None if train.folds.expanding else train.folds.train, train.folds.test)
        dates = [length if isinstance(length, int) else shape.num_dates for length in lengths]
        of_train, of_test = (min(shape.num_rows, length * shape.max_rows_per_date) for length in dates)
        return cls((of_train,), (of_test,))

    def __len__(self) -> int:
        return len(self.num_train_samples)


def stages_of(config: RunConfig) -> list[str]:
    """List the stages this config asks for, in order."""
    wanted = {
        "ingest": config.ingest is not None,
        "folds": config.train is not None,
        "train": config.train is not None and config.models is None,
        "predict": config.has_predictions,
        "evaluate": config.has_predictions,
        "join": config.has_predictions and not config.num_paths,
        "backtest": config.backtest is not None,
        "search": config.search is not None,
        "report": True,
    }
    return [stage for stage in STAGES if wanted[stage]]


def check_stage(stage: str, config: RunConfig) -> None:
    """Raise where a stage is unknown, or the config has no section for it.

    Raises
    ------
    ConfigError
        Naming the stages there are.
    """
    if stage not in STAGES:
        raise ConfigError("stage", "unknown stage", found=repr(stage), do=nearest(stage, STAGES))
    if stage == "join" and config.num_paths:
        what, do = "combinatorial folds have no one table to trade", "Set folds.kind: walk_forward."
        raise ConfigError(f"stage {stage}", what, found=f"{config.num_paths} paths", do=do)
    if stage not in stages_of(config):
        section = "train" if stage in ("folds", "train", "predict", "evaluate", "join") else stage
        raise ConfigError(
            f"stage {stage}", f"the config has no section {section!r}", do=f"Add {section}: to the config."
        )


def units_of(stage: str, num_folds: int, train: TrainConfig | None = None) -> list[Unit]:
    """List the units of a stage."""
    if stage == "train" and train is not None:
        return [Unit(stage, fold, member) for fold in range(num_folds) for member in trained_members(train)]
    if stage in FOLD_STAGES:
        return [Unit(stage, fold) for fold in range(num_folds)]
    return [Unit(stage)]


def required_ingest(config: RunConfig) -> IngestConfig:
    """Give the ingest section, or say that it is missing."""
    if config.ingest is None:
        raise ConfigError("ingest", "this key is required", do="Add an ingest section, or name an existing panel.")
    return config.ingest


def required_train(config: RunConfig) -> TrainConfig:
    """Give the train section, or say that it is missing."""
    if config.train is None:
        raise ConfigError("train", "this key is required", do="Add a train section.")
    return config.train


def plan_unit(
    unit: Unit, config: RunConfig, shape: PanelShape, folds: Folds, share_bytes: int, *, micro_batches: int = 1
) -> StagePlan:
    """Plan one unit: pure, from the config, the sizes and what is left of the budget beside the parent.

    ``micro_batches`` is the number of parts a batch of training is worked through in, see :mod:`seawall.train.micro`.
    """
    if unit.stage == "sweep" and config.search is not None:
        return plan_shard(config.search, share_bytes)
    chain_bytes = 0 if unit.stage in ("ingest", "search", "report") else shape.layout_bytes
    plan = _claims_of(unit, config, shape, (folds, share_bytes - chain_bytes, micro_batches))
    if chain_bytes:
        how = f"{shape.num_pieces:,} entities of all segments; seawall compact makes it none"
        plan = replace(plan, private=(*plan.private, Claim("chain of segments", chain_bytes, how)))
    return replace(plan, reads=planned_reads(unit, config, shape, folds) or plan.reads)


def _claims_of(unit: Unit, config: RunConfig, shape: PanelShape, means: tuple[Folds, int, int]) -> StagePlan:
    folds, share_bytes, micro_batches = means
    fold = unit.fold or 0
    if unit.stage == "ingest":
        return plan_ingest(required_ingest(config), shape, share_bytes)
    if unit.stage == "folds":
        return plan_folds(required_train(config), shape, share_bytes)
    if unit.stage == "train":
        num_samples = folds.num_train_samples[fold]
        return plan_fit(
            of_member(required_train(config), unit.member), shape, num_samples, share_bytes, micro_batches=micro_batches
        )
    if unit.stage == "predict" and folds.outside is not None:
        return plan_predictions(folds.outside, shape, share_bytes)
    if unit.stage == "predict":
        num_samples, train = folds.num_test_samples[fold], required_train(config)
        learnt = folds.num_train_samples[fold] if config.evaluate.in_sample else 0
        return plan_predict_members(
            train, shape, num_samples, share_bytes, micro_batches=micro_batches, num_train_samples=learnt
        )
    if unit.stage == "evaluate":
        counts = {"num_paths": max(1, config.num_paths), "num_targets": config.num_targets}
        return plan_evaluate(config.evaluate, shape, share_bytes, **counts, num_beside=_num_beside(config))
    if unit.stage == "join":
        return plan_join(config.join, shape, share_bytes)
    if unit.stage == "backtest" and config.backtest is not None:
        return plan_backtest(config.backtest, shape, share_bytes)
    if unit.stage == "search" and config.search is not None:
        source_bytes = sum(file.stat().st_size for file in search_files(config.search))
        source_bytes += shape.num_rows * PANEL_ROW_BYTES if config.search.source is None else 0
        return plan_search(config.search, source_bytes, share_bytes)
    num_strategies = len(config.backtest.strategies) if config.backtest else 0
    return plan_report(shape.num_dates, len(folds), num_strategies, share_bytes)


def _num_beside(config: RunConfig) -> int:
    return 0 if config.train is None else len(column_members(seeds_of(config.train), config.train.baselines))


PAGE_BYTES = 4096


def planned_reads(unit: Unit, config: RunConfig, shape: PanelShape, folds: Folds) -> tuple[Claim, ...]:
    """Bound what a stage that reads a panel at random has to read from disk: every page cold, every time it is used.

    Stages without such reads plan none. It is far more than is read where pages stay in the cache, and it is meant to
    be: what exceeds it tenfold reads in circles.
    """
    store = Claim("passes in row order", 4 * shape.store_bytes, "4 x the store")
    if unit.stage in ("evaluate", "join", "backtest"):
        return (store, Claim("rows", 6 * PAGE_BYTES * shape.num_rows, "6 pages for each row of the panel"))
    if unit.stage not in FOLD_STAGES or config.predictions is not None:
        return ()
    train, fold = required_train(config), unit.fold or 0
    window_pages = 4 * train.lookback_periods * shape.num_features // PAGE_BYTES + 4
    learned, predicted = folds.num_train_samples[fold] + shape.num_rows, folds.num_test_samples[fold]
    predicted += learned if config.evaluate.in_sample else 0
    num_windows = train.max_epochs * learned if unit.stage == "train" else predicted
    formula = f"{num_windows:,} windows x {window_pages} pages of {PAGE_BYTES} B"
    return (store, Claim("windows", num_windows * window_pages * PAGE_BYTES, formula))


def config_part(unit: Unit, config: RunConfig) -> dict[str, Any]:
    """Give the part of the config a unit's result depends on, as plain JSON values."""
    sections: dict[str, Any] = {
        "ingest": config.ingest,
        "folds": config.train,
        "evaluate": config.evaluate,
        "join": config.join,
        "backtest": config.backtest,
        "search": config.search,
        "report": config.report,
    }
    if config.train is not None and unit.stage in FOLD_STAGES:
        is_reduced = config.train.is_sequence and unit.stage == "predict"
        judged = config.evaluate.in_sample and unit.stage == "predict"
        more: dict[str, Any] = {"sequence_reduce": config.train.sequence.reduce} if is_reduced else {}
        if unit.stage == "train":
            return of_member(config.train, unit.member).semantic()
        if config.train.baselines:
            more["baselines"] = baseline_members(config.train)
        return config.train.semantic() | more | ({"in_sample": config.evaluate.min_names} if judged else {})
    if config.predictions is not None and unit.stage == "predict":
        return {"outside": OUTSIDE_VERSION, **config.predictions.model_dump(mode="json")}
    part: dict[str, Any] = {} if (section := sections[unit.stage]) is None else section.model_dump(mode="json")
    if unit.stage in ("ingest", "search"):
        part.pop("checkpoint_seconds", None)
    _drop_default_target(unit, part)
    if unit.stage == "ingest":
        part["panel"] = shown_path(config.panel_path, config.output)  # a store of another name is another store
    if unit.stage == "folds":
        keep = ("folds", "lookback_periods", "target")
        strided = ["sequence"] if config.train is not None and config.train.sequence.stride_periods > 1 else []
        part = {key: part[key] for key in (*keep, *(["targets"] if part["targets"] else []), *strided)}
        if config.models is not None:
            part["models"] = [record.get("segments") for record in SavedModels.read(config.models).records]
    if unit.stage == "report":
        part["name"] = config.name
    return part


def _drop_default_target(unit: Unit, part: dict[str, Any]) -> None:
    """Leave out the choice of a target where none is made: what was done before there were several stays valid."""
    choices: list[dict[str, Any] | None] = [part] if unit.stage in ("evaluate", "join") else []
    if unit.stage == "search":
        choices = [type_part["predictions"] for type_part in part.get("types", {}).values()]
    for choice in choices:
        if choice is not None and choice["target"] is None:
            del choice["target"]


def unit_key(unit: Unit, config: RunConfig, manifest: RunManifest) -> str:
    """Compute the content key of a unit: stage, version, its config, and the contents of what it reads."""
    part = json.dumps(config_part(unit, config))  # the order of features is the order of columns
    return text_key(unit.name, str(VERSIONS[unit.stage]), part, *_inputs(unit, config, manifest))


def _inputs(unit: Unit, config: RunConfig, manifest: RunManifest) -> Sequence[str]:
    """List what identifies the contents a unit reads."""
    if unit.stage == "ingest":
        return [json.dumps(fingerprint(file).record()) for file in input_files(required_ingest(config))]
    panel = [panel_key(config.panel_path)] if config.uses_panel else []
    if unit.stage == "folds":
        return panel
    if unit.stage == "train":
        fold = unit.fold or 0
        is_warm = fold > 0 and of_member(required_train(config), unit.member).warm_start
        before = manifest.checksums(Unit("train", fold - 1, unit.member).name, ending=".safetensors") if is_warm else []
        return [_seen_by_fold(manifest.folder / "folds.json", fold), *before]
    if unit.stage == "predict" and config.predictions is not None:
        return panel + [json.dumps(fingerprint(file).record()) for file in source_files(config.predictions.paths)]
    names = trained_members(required_train(config)) if unit.stage == "predict" else ()
    if unit.stage == "predict" and config.models is not None:
        folders = [member_folder(config.models, unit.fold or 0, name) for name in names]
        return panel + [sum_ for folder in folders for sum_ in model_checksums(folder)]
    if unit.stage == "predict":
        models = [Unit("train", unit.fold, name).name for name in names]
        asked = [(model, ending) for model in models for ending in (".safetensors", "scaler.json", "inputs.json")]
        return panel + [sum_ for model, ending in asked for sum_ in manifest.checksums(model, ending=ending)]
    if unit.stage in ("evaluate", "join"):
        return panel + [
            sum_ for name in fold_units(manifest, "predict") for sum_ in manifest.checksums(name, ending=".parquet")
        ]
    if unit.stage == "backtest":
        return panel + manifest.checksums("join", ending=".parquet")
    shown = set(stages_of(config)) - {"report"}
    if unit.stage == "search" and config.search is not None:
        own = [json.dumps(fingerprint(file).record()) for file in search_files(config.search)]
        has_entries = config.search.entries_source or config.search.entries.signals
        predictions = [] if has_entries else fold_units(manifest, "predict")
        return panel + own + [sum_ for name in predictions for sum_ in manifest.checksums(name, ending=".parquet")]
    return panel + [record["key"] for _, record in sorted(manifest.units.items()) if record["stage"] in shown]


def search_files(config: SearchConfig) -> list[Path]:
    """List the tables a search reads itself."""
    tables = (config.source, config.entries_source, config.detail_bars)
    sources = [str(source) for source in tables if source is not None]
    return source_files(sources)


def _seen_by_fold(folds: Path, number: int) -> str:
    """Identify what the model of a fold may see: its segments, and the contents known before its test starts.

    Rows that are appended later change the panel and folds.json, and nothing here.
    """
    try:
        record = json.loads(folds.read_text(encoding="utf-8"))["folds"][number]
        segments = [[record[name]["start"], record[name]["stop"]] for name in ("train", "valid")]
        pieces = [record[name]["ranges"] for name in ("train", "test") if "ranges" in record[name]]
        return json.dumps([record["content_key"], segments, record["test"]["start"], *pieces])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FormatError(str(folds), "cannot be read", found=str(error), do="Run the stage folds again.") from error


def fold_units(manifest: RunManifest, stage: str) -> list[str]:
    """List the finished fold units of a stage, in order."""
    return sorted(name for name in manifest.units if name.startswith(f"{stage}/fold_"))


def panel_key(panel: Path) -> str:
    """Read the content key of a panel store from its manifest.

    Raises
    ------
    FormatError
        Where the store is missing or damaged.
    """
    key = read_manifest(panel).get("content_key")
    if not isinstance(key, str):
        raise FormatError(str(panel / "panel.json"), "damaged manifest", found="no content_key", do="Ingest again.")
    return key
