"""The calls of the Python surface that start stages: each runs in a child, whatever process asks for it."""

import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seawall.budget.limits import Budget, Reserve, find_budget
from seawall.errors import ConfigError
from seawall.ingest.named import needs_columns, with_features
from seawall.pipeline.config import RunConfig, load_config, on_cluster, parse_config, usable_path
from seawall.pipeline.frames import is_frame, write_frame
from seawall.pipeline.lock import run_lock
from seawall.pipeline.look import look
from seawall.pipeline.manifest import open_folder
from seawall.pipeline.progress import listener_of
from seawall.pipeline.result import Run
from seawall.pipeline.run import Listener, Order, Runner
from seawall.stores.shape import PanelShape

if TYPE_CHECKING:
    from seawall.stores.panel import Panel


def run(
    config: str | Path | Mapping[str, Any],
    *,
    memory: str | None = None,
    reserve: str | None = None,
    first: str | None = None,
    only: str | None = None,
    cluster: str | None = None,
    progress: bool | None = None,
) -> Run:
    """Run a config: everything that is not done yet.

    Each stage is planned before any work, works in a process of its own inside the budget, and is found again by its
    content when the same call is made after a kill.

    Parameters
    ----------
    config
        Path of a YAML file, or the same as nested mappings.
    memory
        Budget of stages and this process together, for example ``"2GiB"``; else the config's, else what the machine
        offers.
    reserve
        Available memory to leave to other processes, looked at again before every stage.
    first, only
        Do a stage and the later ones anew, or one stage alone.
    cluster
        Head of a Ray cluster that does the folds, ``"HOST:PORT"`` or ``"auto"``; else the config's, else none.
    progress
        Show how far it is, with memory against the budget: by default in a notebook only.

    Returns
    -------
    Run
        The run folder; its files are read when asked for.

    Raises
    ------
    SeawallError
        ConfigError, BudgetError, DataError, StageError: each says what to do.
    """
    checked = load_config(Path(config)) if isinstance(config, str | Path) else parse_config(dict(config), "config")
    checked = on_cluster(checked, cluster)
    left = Reserve(reserve, checked.memory.reserve)
    budget = find_budget(memory, config_value=checked.memory.budget, reserve=left)
    command = "the same call"
    if isinstance(config, str | Path):
        command = shlex.join(
            [
                "seawall",
                "run",
                str(config),
                *(("--memory", memory) if memory else ()),
                *(("--reserve", reserve) if reserve else ()),
                *(("--cluster", cluster) if cluster else ()),
            ]
        )
    return start(checked, budget, listener_of(progress), Order(first, only, command))


def start(config: RunConfig, budget: Budget, listener: Listener, order: Order) -> Run:
    """Run a checked config and hand back its folder."""
    Runner(config, budget, listener, order).run()
    return Run(config.output)


def ingest(  # noqa: PLR0913 - a public call: all but two are named, and most are left out
    sources: object,
    output: str | Path,
    *,
    entity: str,
    time: str,
    features: Mapping[str, str] | Sequence[str] | None = None,
    prices: Sequence[str] = (),
    memory: str | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool | None = None,
) -> "Panel":
    """Read tables into a panel store.

    Rows may come in any order. An expression that looks ahead is refused; missing values stay missing (NaN).

    Parameters
    ----------
    sources
        Files, folders or globs of CSV, Parquet, Feather, JSON lists and more; or a table in memory: a pandas, Polars or
        Arrow frame, a mapping of columns, anything with the Arrow interface. It is written beside ``output`` in
        batches, read by a child like any file, and removed.
    output
        The ``NAME.panel`` folder. An existing store is replaced once the new one is complete.
    entity, time
        Names of the key columns.
    features
        Names of number columns, or name: SQL expression; all number columns that are not prices where missing and
        no ``feature_sets`` are among the settings.
    prices
        Columns kept as float64.
    memory
        Budget of the work and this process together, for example ``"2GiB"``; what the machine offers where missing.
    settings
        Any other key of the config's ``ingest`` section.
    progress
        Show how far it is, with memory against the budget: by default in a notebook only.

    Returns
    -------
    Panel
        The store, mapped read-only.

    Raises
    ------
    SeawallError
        With file, line and what to do; an existing store is untouched.

    Notes
    -----
    Memory is one parsed block, then one bucket of whole entities: it grows with the longest entity, not with rows.
    """
    _check_output(Path(output))
    frame_path = Path(output).with_name(f".{Path(output).name}.frame.arrow")
    section: dict[str, Any] = {"entity": entity, "time": time, "prices": list(prices), **dict(settings or {})}
    order = Order(only="ingest", command="the same call")
    try:
        section["sources"] = _listed_sources(sources, frame_path)
        run_ingest(section, Path(output), features, find_budget(memory), listener_of(progress), order)
    finally:
        frame_path.unlink(missing_ok=True)
    from seawall.stores.panel import Panel

    return Panel(output)


def _listed_sources(sources: object, frame_path: Path) -> list[str]:
    """List sources as texts; a table in memory is written to a file first."""
    if is_frame(sources):
        frame_path.parent.mkdir(parents=True, exist_ok=True)
        write_frame(sources, frame_path)
        return [str(frame_path)]
    listed = [sources] if isinstance(sources, str | Path) else sources
    if isinstance(listed, Iterable):
        paths = [str(source) for source in listed if isinstance(source, str | Path)]
        if paths and len(paths) == len(listed if isinstance(listed, Sequence) else paths):
            return paths
    allowed = "paths, or one table in memory"
    raise ConfigError("sources", "not something to read", found=type(sources).__name__, allowed=allowed)


def run_ingest(
    section: dict[str, Any],
    output: Path,
    features: Mapping[str, str] | Sequence[str] | None,
    budget: Budget,
    listener: Listener,
    order: Order,
) -> dict[str, Any]:
    """Ingest outside a run folder, in a child with a plan, a meter and a fence of its own.

    Returns
    -------
    dict
        The unit record.
    """
    _check_output(output)
    held = output.with_name(f".{output.name}.run")
    scratch = held / "run"
    open_folder(held)
    with run_lock(held):
        try:
            shutil.rmtree(scratch, ignore_errors=True)  # of an ingest that was killed
            scratch.mkdir()

            config, sizes = _whole_config(section, features, Place(scratch, output), budget, order.command)
            return Runner(config, budget, listener, order, sizes).run().units["ingest"]
        finally:
            shutil.rmtree(held, ignore_errors=True)


class Place(NamedTuple):
    """Where an ingest works, and what it makes."""

    scratch: Path
    panel: Path


def _whole_config(
    section: dict[str, Any],
    features: Mapping[str, str] | Sequence[str] | None,
    place: Place,
    budget: Budget,
    command: str,
) -> tuple[RunConfig, PanelShape | None]:
    """Complete a config; where the sources must be looked at for that, their sizes come from the same look."""
    values: dict[str, Any] = {"output": str(place.scratch), "panel": str(place.panel), "ingest": section}
    if not needs_columns(section, features):
        return parse_config(values | {"ingest": with_features(section, features, ())}, "ingest"), None
    parse_config(values, "ingest")
    asked = {"features": dict(features) if isinstance(features, Mapping) else features}
    found = look("columns", values, place.scratch, budget.bytes, command, **asked)
    whole = with_features(section, features, found["columns"])  # here, where features are in the caller's order
    return parse_config(values | {"ingest": whole}, "ingest"), PanelShape(**found["sizes"])


def _check_output(output: Path) -> None:
    if not output.name.endswith(".panel"):
        raise ConfigError(
            "output", "a panel store is named NAME.panel", found=repr(output.name), do=f"Write {output.name}.panel."
        )
    try:
        usable_path(output)
    except ValueError as error:
        raise ConfigError("output", str(error), found=f"{str(output)[:80]!r}") from error
