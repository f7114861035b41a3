"""What a child does for each task outside a run folder. Every import of the work is inside the branch that needs it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seawall.budget.heartbeat import Beat
from seawall.errors import ConfigError


def do_task(
    name: str, settings: Mapping[str, Any], folder: Path, knobs: Mapping[str, int], beat: Beat
) -> dict[str, Any]:
    """Do the task of a request.

    Returns
    -------
    dict
        Its summary.
    """
    if name in ("look join", "join"):
        return _join(name, settings, folder, knobs, beat)
    if name in ("look evaluate", "evaluate"):
        return _evaluate(name, settings, folder, knobs, beat)
    if name == "look at tables":
        from seawall.pipeline.init.look import look_at_sources

        return look_at_sources(settings, beat)
    if name == "look at the model":
        return _probe(settings)
    if name == "look report":
        from seawall.pipeline.reports import look_at_runs

        return look_at_runs(settings["runs"])
    if name == "report":
        return _report(settings, beat)
    if name.startswith("look leak "):
        from seawall.pipeline.leak.work import look_leak

        return look_leak(name, settings)
    if name.startswith("leak "):
        from seawall.pipeline.leak.work import do_leak

        return do_leak(name, settings, folder, knobs, beat)
    raise ConfigError("task", "unknown", found=repr(name))


def _probe(settings: Mapping[str, Any]) -> dict[str, Any]:
    from seawall.models.module_config import ModuleConfig
    from seawall.models.probe import probe
    from seawall.models.shape import ModelShape

    config, shape = ModuleConfig.model_validate(settings["model"]), ModelShape(**settings["shape"])
    return probe(config, shape, **{name: settings[name] for name in ("key", "batch_size", "room_bytes")})


def _join(name: str, settings: Mapping[str, Any], folder: Path, knobs: Mapping[str, int], beat: Beat) -> dict[str, Any]:
    from seawall.join.config import TablesConfig
    from seawall.join.tables import join_tables, sources
    from seawall.tables.look import sizes

    config = TablesConfig.model_validate(settings["config"])
    if name == "look join":
        return {source.name: sizes(source) for source in sources(config)}
    return join_tables(config, Path(settings["output"]), folder / "runs", buffer_rows=knobs["buffer_rows"], beat=beat)


def _evaluate(
    name: str, settings: Mapping[str, Any], folder: Path, knobs: Mapping[str, int], beat: Beat
) -> dict[str, Any]:
    from seawall.evaluate.config import TablesConfig
    from seawall.evaluate.tables import evaluate_tables, sources
    from seawall.tables.look import sizes

    config = TablesConfig.model_validate(settings["config"])
    if name == "look evaluate":
        return {source.name: sizes(source) for source in sources(config)}
    output = Path(settings["output"]) if settings["output"] else None
    rows, dates = knobs["buffer_rows"], knobs["max_dates"]
    return evaluate_tables(config, output, folder / "runs", buffer_rows=rows, max_dates=dates, beat=beat)


def _report(settings: Mapping[str, Any], beat: Beat) -> dict[str, Any]:
    runs, output = [Path(run) for run in settings["runs"]], Path(settings["output"])
    if len(runs) == 1:
        from seawall.report.run import write_report

        return write_report(runs[0], output, beat=beat)
    from seawall.report.compare_page import write_comparison

    return write_comparison(runs, output, beat=beat)
