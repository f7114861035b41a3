"""The calls of the Python surface that start stages: each runs in a child, whatever process asks for it."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.budget.limits import Budget, find_budget
from seawall.errors import ConfigError
from seawall.pipeline.config import RunConfig, load_config, parse_config
from seawall.pipeline.look import look
from seawall.pipeline.result import Run
from seawall.pipeline.run import Listener, Order, Runner, Silent

if TYPE_CHECKING:
    from seawall.stores.panel import Panel


def run(
    config: str | Path | Mapping[str, Any],
    *,
    memory: str | None = None,
    first: str | None = None,
    only: str | None = None,
) -> Run:
    """Run a config: everything that is not done yet.

    Parameters
    ----------
    config
        Path of a YAML file, or the same as nested mappings.
    memory
        Budget, for example ``"2GiB"``; else the config's, else what the machine offers.
    first, only
        Do a stage and the later ones anew, or one stage alone.

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
    budget = find_budget(memory, config_value=checked.memory.budget)
    command = f"seawall run {shlex.quote(str(config))}" if isinstance(config, str | Path) else "the same call"
    return start(checked, budget, Silent(), Order(first, only, command))


def start(config: RunConfig, budget: Budget, listener: Listener, order: Order) -> Run:
    """Run a checked config and hand back its folder."""
    Runner(config, budget, listener, order).run()
    return Run(config.output)


def ingest(
    sources: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    entity: str,
    time: str,
    features: Mapping[str, str] | Sequence[str] | None = None,
    prices: Sequence[str] = (),
    memory: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> "Panel":
    """Read tables into a panel store.

    Parameters
    ----------
    sources
        Files, folders or globs of CSV, CSV.gz or Parquet.
    output
        The ``NAME.panel`` folder. An existing store is replaced once the new one is complete.
    features
        Names of number columns, or name: SQL expression; all number columns that are not prices where missing.
    prices
        Columns kept as float64.
    memory
        Budget, for example ``"2GiB"``.
    settings
        Any other key of the config's ``ingest`` section.

    Returns
    -------
    Panel
        The store, mapped read-only.

    Raises
    ------
    SeawallError
        With file, line and what to do; an existing store is untouched.
    """
    listed = [sources] if isinstance(sources, str | Path) else list(sources)
    section: dict[str, Any] = {
        "sources": [str(s) for s in listed],
        "entity": entity,
        "time": time,
        "prices": list(prices),
    }
    run_ingest(section | dict(settings or {}), Path(output), features, find_budget(memory), Silent())
    from seawall.stores.panel import Panel

    return Panel(output)


def run_ingest(
    section: dict[str, Any],
    output: Path,
    features: Mapping[str, str] | Sequence[str] | None,
    budget: Budget,
    listener: Listener,
) -> dict[str, Any]:
    """Ingest outside a run folder, in a child with a plan, a meter and a fence of its own.

    Returns
    -------
    dict
        The unit record.
    """
    if not output.name.endswith(".panel"):
        raise ConfigError(
            "output", "a panel store is named NAME.panel", found=repr(output.name), do=f"Write {output.name}.panel."
        )
    scratch = output.with_name(f".{output.name}.run")
    try:
        _make_scratch(scratch)
        named = _features(section, features, budget, scratch)
        values = [
            name for name in dict.fromkeys((*section.get("values", ()), *named[1])) if name not in section["prices"]
        ]
        section = section | {"features": named[0], "values": values}
        config = parse_config({"output": str(scratch), "panel": str(output), "ingest": section}, "ingest")
        runner = Runner(config, budget, listener, Order(only="ingest", command="seawall ingest"))
        return runner.run().units["ingest"]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _make_scratch(scratch: Path) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(
            f"output {scratch.parent}",
            "the folder cannot be written",
            found=error.strerror or str(error),
            do="Choose another output.",
        ) from error


def _features(
    section: dict[str, Any], features: Mapping[str, str] | Sequence[str] | None, budget: Budget, scratch: Path
) -> tuple[dict[str, str], list[str]]:
    """Turn the ways to name features into expressions, and the source columns they need."""
    if isinstance(features, Mapping):
        needed = section.get("values") or _number_columns(section, budget, scratch)
        return dict(features), list(needed)
    names = list(features) if features is not None else _number_columns(section, budget, scratch)
    names = [name for name in names if name not in section["prices"]] if features is None else names
    return {name: '"' + name.replace('"', '""') + '"' for name in names}, names


def _number_columns(section: dict[str, Any], budget: Budget, scratch: Path) -> list[str]:
    config = {"output": str(scratch), "ingest": section}
    return list(look("columns", config, scratch, budget.bytes, "seawall ingest")["columns"])
