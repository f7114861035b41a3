"""What a child does for each stage. Every import of a stage's work is here, inside the branch that needs it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError
from seawall.ingest.named import with_features
from seawall.pipeline.config import RunConfig, parse_config
from seawall.pipeline.outputs import output_records
from seawall.pipeline.saved import SavedModels
from seawall.pipeline.stages import UPKEEP, Unit, required_ingest, required_train
from seawall.train.meeting import Meeting
from seawall.train.members import member_folder, of_member
from seawall.train.micro import MicroBatches


def do_unit(request: dict[str, Any], beat: Beat) -> dict[str, Any]:
    """Do the unit a request describes.

    Returns
    -------
    dict
        ``summary`` of the stage and ``outputs`` with checksums.
    """
    if "task" in request:
        from seawall.pipeline.tasks import do_task

        folder = Path(request["run"])
        summary = do_task(request["task"], request["settings"], folder, request["knobs"], beat)
        return {"summary": summary, "outputs": []}
    if request["stage"] in UPKEEP:
        from seawall.pipeline.upkeep_work import do_upkeep

        return {"summary": do_upkeep(request, beat), "outputs": []}
    config = parse_config(request["config"], "request")
    folder, panel, unit = Path(request["run"]), config.panel_path, _unit_of(request)
    if unit.stage == "probe":
        from seawall.ingest.probe import probe

        return {"summary": probe(required_ingest(config)).record(), "outputs": []}
    if unit.stage == "columns":
        return {"summary": _look_at_columns(config, request), "outputs": []}
    if unit.stage == "layout":
        from seawall.train.run import lay_out_folds

        return {"summary": lay_out_folds(panel, required_train(config)), "outputs": []}
    if unit.stage == "scores" and config.predictions is not None:
        from seawall.join.outside import source_of
        from seawall.tables.look import sizes

        return {"summary": sizes(source_of(config.predictions)), "outputs": []}
    summary = _act(unit, request, folder, panel, beat)
    beat("checksum")
    is_helper = bool((request.get("join") or {}).get("rank"))  # the first rank writes and lists the files
    return {"summary": summary, "outputs": [] if is_helper else output_records(unit, folder, panel)}


def _look_at_columns(config: RunConfig, request: dict[str, Any]) -> dict[str, Any]:
    """List the number columns of the sources, and estimate the sizes of the panel whose features they complete."""
    from seawall.ingest.columns import number_columns
    from seawall.ingest.probe import probe

    section, columns = request["config"]["ingest"], number_columns(required_ingest(config))
    whole = with_features(section, request["features"], columns)
    complete = parse_config(request["config"] | {"ingest": whole}, "ingest")
    return {"columns": list(columns), "sizes": probe(required_ingest(complete)).record()}


def _unit_of(request: dict[str, Any]) -> Unit:
    return Unit(request["stage"], request["fold"], request.get("member", ""))


def _act(unit: Unit, request: dict[str, Any], folder: Path, panel: Path, beat: Beat) -> dict[str, Any]:
    config = parse_config(request["config"], "request")
    if unit.stage == "ingest":
        from seawall.ingest.run import ingest

        room = {name: request[name] for name in ("budget_bytes", "knob_bytes")}
        return ingest(required_ingest(config), panel, **room, beat=beat)
    if unit.stage == "predict" and config.predictions is not None:
        from seawall.join.outside import import_predictions

        places = {"output": folder / "predictions", "work": folder / ".predictions"}
        buffer_rows = request["knobs"]["buffer_rows"]
        return import_predictions(panel, config.predictions, **places, buffer_rows=buffer_rows, beat=beat)
    if unit.stage in ("folds", "train", "predict"):
        return _train(unit, request, folder, panel, beat)
    if unit.stage == "evaluate":
        from seawall.evaluate.run import evaluate

        return evaluate(panel, folder / "predictions", folder / "metrics", config.evaluate, beat=beat)
    if unit.stage == "join":
        from seawall.join.run import join

        return join(panel, folder / "predictions", folder / "backtest", config.join, beat=beat)
    if unit.stage == "backtest" and config.backtest is not None:
        from seawall.backtest.run import backtest

        output, slab_rows = folder / "backtest", request["knobs"]["slab_rows"]
        _drop_other_strategies(output, [strategy.name for strategy in config.backtest.strategies])
        return backtest(panel, output, output, config.backtest, slab_rows=slab_rows, beat=beat)
    if unit.stage == "search" and config.search is not None:
        from seawall.search.prepare import Inputs
        from seawall.search.run import search

        inputs = Inputs(
            panel if config.uses_panel else None, folder / "predictions" if config.has_predictions else None
        )
        band = request["knobs"]["band_combinations"]
        return search(
            config.search, folder / "search", inputs, band_combinations=band, beat=beat, shards=request.get("shards")
        )
    if unit.stage == "sweep" and config.search is not None:
        from seawall.search.shards import sweep_shard

        band = request["knobs"]["band_combinations"]
        return sweep_shard(
            request["shards"], unit.fold or 0, config.search, folder / "search", band_combinations=band, beat=beat
        )
    from seawall.report.run import write_report

    return write_report(folder, folder / "report.html", title=config.report.title, beat=beat)


def _train(unit: Unit, request: dict[str, Any], folder: Path, panel: Path, beat: Beat) -> dict[str, Any]:
    config = parse_config(request["config"], "request")
    train = required_train(config)
    folds, fold = folder / "folds.json", unit.fold
    if unit.stage == "folds":
        from seawall.train.run import make_folds_record

        saved = () if config.models is None else SavedModels.read(config.models).records
        return make_folds_record(panel, train, folds, models=saved, beat=beat)
    if fold is None:
        raise ConfigError(unit.stage, "this stage works on one fold", do="Name the fold.")
    model = member_folder(config.models or folder / "models", fold, unit.member)
    random_access = bool(request["knobs"]["random_access"])
    split = MicroBatches(request["micro_batches"], request["gpu_budget_bytes"])
    if unit.stage == "train":
        from seawall.pipeline.journal import log_event
        from seawall.train.run import fit_fold
        from seawall.train.trackers import trackers

        meeting = None if request.get("join") is None else Meeting.of(request["join"])
        with trackers(() if meeting and meeting.rank else train.trackers, folder, unit.name) as track:

            def tell(report: Mapping[str, float | None]) -> None:
                log_event(folder, "report", unit.name, "", **report)
                track(report)

            means: dict[str, Any] = {"random_access": random_access, "split": split, "beat": beat, "tell": tell}
            return fit_fold(panel, folds, fold, of_member(train, unit.member), model, **means, meeting=meeting)
    output = folder / "predictions"
    choices: dict[str, Any] = {"random_access": random_access, "split": split, "beat": beat}
    if config.evaluate.in_sample:
        from seawall.train.in_sample import FoldFiles, score_in_sample

        files = FoldFiles(panel, folds, fold, model, output)
        score_in_sample(files, train, config.evaluate.min_names, **choices)
        # The scores have brought torch into this process: it predicts by itself, which gives the same bytes.
        train = train.model_copy(update={"ranks": 1})
    else:
        from seawall.stores.in_sample import in_sample_file

        in_sample_file(output, fold).unlink(missing_ok=True)
    from seawall.train.run import predict_fold_by_ranks

    return predict_fold_by_ranks(panel, folds, fold, train, model, output, **choices)


def _drop_other_strategies(folder: Path, names: list[str]) -> None:
    """Remove the folders of strategies that an earlier config had: the report would show them."""
    for statistics in folder.glob("*/statistics.json"):
        if statistics.parent.name not in names:
            shutil.rmtree(statistics.parent)
