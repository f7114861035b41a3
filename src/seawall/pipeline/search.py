"""A parameter search on its own: tables of bars and entries in, a folder with parameters, verdict and page out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from seawall.budget.limits import Budget, find_budget
from seawall.errors import ConfigError
from seawall.pipeline.config import on_cluster, parse_config, read_yaml
from seawall.pipeline.frames import is_frame, write_frame
from seawall.pipeline.progress import listener_of
from seawall.pipeline.run import Listener, Order, Runner


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A finished search: its files are read when asked for."""

    folder: Path

    @property
    def summary(self) -> dict[str, Any]:
        """Everything that was found, by type."""
        loaded: dict[str, Any] = json.loads((self.folder / "search" / "summary.json").read_text(encoding="utf-8"))
        return loaded

    @property
    def best_parameters(self) -> dict[str, Any]:
        """Give the parameters for a live program, refitted on all data: not out of sample."""
        loaded: dict[str, Any] = yaml.safe_load(self.parameters_path.read_text(encoding="utf-8"))
        return loaded

    @property
    def parameters_path(self) -> Path:
        """Where the parameters are written."""
        return self.folder / "search" / "best_parameters.yaml"

    @property
    def report(self) -> Path:
        """Where the page is, if Plotly is installed."""
        return self.folder / "report.html"

    @property
    def record(self) -> dict[str, Any]:
        """The unit records of the run: projected and measured memory, time."""
        loaded: dict[str, Any] = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        return loaded


def search(
    bars: object,
    entries: object,
    grid: Mapping[str, Any],
    *,
    costs: Mapping[str, float],
    output: str | Path = "seawall-search",
    memory: str | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: bool | None = None,
) -> SearchResult:
    """Search trade parameters over tables in memory or on disk, in a child inside the budget.

    Every combination of the grid is evaluated exactly on every entry; the four phases judge what was found. Entries are
    filled at the open after their time (see ``entries.time_is``), and a trade's result uses no bar after its exit.

    Parameters
    ----------
    bars, entries
        A pandas, Polars or Arrow frame, or a file, folder or glob. Columns are named in ``settings``; by default
        ``entity``, ``time``, ``open``, ``high``, ``low``, ``close``, and ``entity``, ``time``, ``side``, ``type``.
        ``entries`` may be None where ``settings["entries"]["signals"]`` names built-in rules.
    grid
        ``{"take_profit_bps": [...], "stop_loss_bps": [...], "trail": {...}, "holding_periods": [...]}`` for entries of
        one type, or one section of the config's ``types`` for each type.
    costs
        The ``costs`` section: every fee and slippage, in basis points of the notional.
    output
        Folder of the results; an earlier search of the same tables and settings there is not repeated.
    memory
        Budget of the search and this process together, for example ``"512MiB"``; what the machine offers where missing.
    settings
        Any other section of a search config: ``bars``, ``entries``, ``weights``, ``validation``, ``replay``, and so on;
        ``detail_bars`` may be a frame.
    progress
        Show how far it is, with memory against the budget: by default in a notebook only.

    Returns
    -------
    SearchResult
        ``summary``, ``best_parameters``, ``report``.

    Raises
    ------
    SeawallError
        ConfigError, BudgetError, DataError, StageError: each says what to do.

    Notes
    -----
    Memory grows with the levels and combinations of the grid, not with bars or entries. A bar with a missing price
    counts as missing.
    """
    folder = Path(output)
    chosen = dict(settings or {})
    section: dict[str, Any] = {**chosen, "costs": dict(costs), "types": _types(grid)}
    if "take_profit_bps" in grid and "type" not in chosen.get("entries", {}):
        section["entries"] = {**chosen.get("entries", {}), "type": None}
    written: list[Path] = []
    try:
        section["source"] = _source(bars, folder, "bars", written)
        if chosen.get("detail_bars") is not None:
            section["detail_bars"] = _source(chosen["detail_bars"], folder, "detail_bars", written)
        if entries is not None:
            section["entries_source"] = _source(entries, folder, "entries", written)
        return run_search(section, folder, find_budget(memory), listener_of(progress), "the same call")
    finally:
        for path in written:
            path.unlink(missing_ok=True)


def _types(grid: Mapping[str, Any]) -> dict[str, Any]:
    if "take_profit_bps" not in grid:
        return {name: dict(section) for name, section in grid.items()}
    own = {key: value for key, value in grid.items() if key not in ("opportunity_bps", "capture_share", "tune_on")}
    other = {key: value for key, value in grid.items() if key not in own}
    return {"trades": {"opportunity_bps": 0.0, **other, "grid": own}}


def _source(table: object, folder: Path, name: str, written: list[Path]) -> str:
    if isinstance(table, str | Path):
        return str(table)
    if not is_frame(table):
        raise ConfigError(name, "not something to read", found=type(table).__name__, allowed="a path or a frame")
    path = folder.with_name(f".{folder.name}.{name}.arrow")
    path.parent.mkdir(parents=True, exist_ok=True)
    written.append(path)
    write_frame(table, path)
    return str(path)


def read_section(path: Path) -> dict[str, Any]:
    """Read a search config: a file of its own, or the ``search`` section of a run's."""
    values = read_yaml(path)
    section = values.get("search", values)
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: search", "a section is a mapping", found=type(section).__name__)
    return dict(section)


def run_search(
    section: dict[str, Any], output: Path, budget: Budget, listener: Listener, command: str,
    *, cluster: str | None = None,
) -> SearchResult:  # fmt: skip
    """Search, large sweeps on the nodes of a cluster where one is named, and write the page where Plotly is there."""
    config = parse_config({"name": "search", "output": str(output), "search": section}, "search config")
    config = on_cluster(config, cluster)
    if find_spec("plotly") is None:
        Runner(config, budget, listener, Order(only="search", command=command)).run()
    else:
        Runner(config, budget, listener, Order(command=command)).run()
    return SearchResult(output)
