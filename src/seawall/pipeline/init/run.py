"""The parent of init: have the tables looked at in a child, write the config, and prove that it can be planned."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seawall.budget.check import smallest_budget_bytes
from seawall.budget.limits import Budget
from seawall.errors import ConfigError
from seawall.ingest.sources import source_files
from seawall.pipeline.alone import Means, work_alone
from seawall.pipeline.config import RunConfig, load_config, usable_path
from seawall.pipeline.init.guess import guesses_of
from seawall.pipeline.init.memory import look_plan, most_rows
from seawall.pipeline.init.text import Guess, config_lines
from seawall.pipeline.listener import Listener, Silent
from seawall.pipeline.lock import run_lock
from seawall.pipeline.manifest import open_folder
from seawall.pipeline.run import Order, Runner
from seawall.pipeline.schema import schema_text
from seawall.pipeline.stages import PARENT_BYTES
from seawall.pipeline.supervise import interrupted
from seawall.stores.atomic import write_text
from seawall.units import GIB

SCHEMA_NAME = "seawall.schema.json"
"""Written beside the config, for editors."""

USUAL_BUDGET_BYTES = GIB
"""What a first run declares where it fits."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants looked at, and has told."""

    sources: tuple[str, ...]
    output: Path
    entity: str | None = None
    time: str | None = None
    time_format: str | None = None
    price: str | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """A config that was written."""

    path: Path
    schema: Path
    guesses: tuple[Guess, ...]
    smallest_budget_bytes: int
    look: dict[str, Any]
    """What the look needed."""

    def record(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {
            "config": str(self.path),
            "schema": str(self.schema),
            "smallest_budget_bytes": self.smallest_budget_bytes,
            "guesses": [guess.record() for guess in self.guesses],
            "memory": self.look,
        }


def init(asked: Asked, budget: Budget, listener: Listener, command: str) -> Written:
    """Look at tables and write a commented config.

    The look reads at most a million rows, in a child under the budget.

    Raises
    ------
    ConfigError
        Where the output exists and may not be overwritten, or a told column does not.
    DataError
        Where something must not be guessed: ambiguous dates, keys that repeat, no column of times or numbers.
    BudgetError, StageError
        As every command.
    """
    _check_output(asked)
    scratch = asked.output.with_name(f".{asked.output.name}.run")
    open_folder(scratch)
    with run_lock(scratch):
        try:
            record = _look(asked, Means(budget, listener, command), scratch)
            found = record.pop("summary")
            trial = scratch / "config.yaml"
            guesses, needed = _fitting(found, trial, budget, command)
        except KeyboardInterrupt as stop:
            raise interrupted(command, stop) from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    schema = asked.output.with_name(SCHEMA_NAME)
    write_text(schema, schema_text())
    write_text(asked.output, _text(guesses, asked, found))
    return Written(asked.output, schema, tuple(guesses), needed, record)


def _check_output(asked: Asked) -> None:
    try:
        usable_path(asked.output)
    except ValueError as error:
        raise ConfigError("--output", str(error), found=f"{str(asked.output)[:80]!r}") from error
    if asked.output.is_dir() or asked.output.suffix not in (".yaml", ".yml"):
        raise ConfigError("--output", "a config is a file named NAME.yaml", found=repr(str(asked.output)))
    if asked.output.exists() and not asked.overwrite:
        do = "Write to another file with --output, or replace it with --force."
        raise ConfigError(f"--output {asked.output}", "the file exists", do=do)
    if not asked.output.parent.is_dir():
        do = f"Make it: mkdir -p {asked.output.parent}."
        raise ConfigError("--output", "the folder does not exist", found=str(asked.output.parent), do=do)


def _look(asked: Asked, means: Means, scratch: Path) -> dict[str, Any]:
    file_bytes = sum(path.stat().st_size for path in source_files(asked.sources))
    if len(asked.sources) == 1:  # a static table, whose panel is looked for beside it
        folder = Path(asked.sources[0]).parent
        beside = [path.stat().st_size for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
        file_bytes = max(file_bytes, *beside, 0)
    told = {name: getattr(asked, name) for name in ("entity", "time", "time_format", "price")}
    settings = {"sources": list(asked.sources), "told": told}
    request = {"task": "look at tables", "settings": settings, "run": str(scratch)}
    return work_alone("look at tables", request, look_plan(most_rows(file_bytes)), means, scratch, place=scratch)


def _fitting(found: dict[str, Any], trial: Path, budget: Budget, command: str) -> tuple[list[Guess], int]:
    """Guess, plan what was guessed, and declare more memory where the usual budget would not do."""
    guesses = guesses_of(found, memory=format_bytes_exactly(USUAL_BUDGET_BYTES))
    needed = _needed_bytes(_parsed(guesses, trial), budget, command)
    if needed > USUAL_BUDGET_BYTES:
        whole = -(-needed * 5 // 4 // GIB) * GIB
        guesses = guesses_of(found, memory=format_bytes_exactly(whole))
        _parsed(guesses, trial)
    return guesses, needed


def format_bytes_exactly(size_bytes: int) -> str:
    """Write a whole number of GiB as the config takes it."""
    return f"{size_bytes // GIB}GiB"


def _parsed(guesses: Sequence[Guess], trial: Path) -> RunConfig:
    write_text(trial, config_lines(guesses, ()))
    return load_config(trial)


def _needed_bytes(config: RunConfig, budget: Budget, command: str) -> int:
    plans = Runner(config, budget, Silent(), Order(command=command)).plan()
    return smallest_budget_bytes(plans, parent_bytes=PARENT_BYTES)


def _text(guesses: Sequence[Guess], asked: Asked, found: dict[str, Any]) -> str:
    rows = "every row" if found["survey"]["is_complete"] else f"the first {found['survey']['num_rows']:,} rows"
    names = ", ".join(asked.sources[:3]) + (", ..." if len(asked.sources) > 3 else "")
    header = (
        f"yaml-language-server: $schema={SCHEMA_NAME}",
        f"A first config for {names}, guessed by seawall init from {rows}.",
        "Each guess has its reason above it; change what is wrong, then type:",
    )
    commands = f"#   seawall plan {asked.output}\n#   seawall run {asked.output}\n"
    text = config_lines(guesses, header)
    first, _, rest = text.partition("\n\n")
    return f"{first}\n{commands}\n{rest}"
