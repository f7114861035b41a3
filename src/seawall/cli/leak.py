"""``seawall doctor leak``: find what knows its future."""

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall.budget.limits import find_budget
from seawall.cli.display import Display, print_json
from seawall.cli.options import AsJson, ConfigFile, Memory, Quiet
from seawall.cli.run import own_command
from seawall.pipeline.config import load_config
from seawall.pipeline.leak.run import LEAK_EXIT_CODE, find_leaks

_COLOURS = {"ok": "green", "check": "yellow", "leak": "bold red", "not run": "dim"}


def leak(config: ConfigFile, memory: Memory = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Check a config, its panel and what is trained so far for knowledge of the future; exit code 4 on a leak.

    The future is changed and removed, and nothing before may move; targets, borders, features and windows are counted
    again. "check" is a pattern to look at, "leak" is certain.

    Example: seawall doctor leak examples/pse.yaml --memory 1GiB
    """
    loaded = load_config(config)
    with Display(quiet=quiet or as_json) as display:
        found = find_leaks(loaded, find_budget(memory, config_value=loaded.memory.budget), display, own_command())
    if as_json:
        print_json(found)
    elif not quiet:
        table = Table(title=f"seawall doctor leak: {found['verdict']}", title_justify="left")
        for name in ("check", "verdict", "why"):
            table.add_column(name, overflow="fold")
        for check in found["checks"]:
            colour = _COLOURS[check["verdict"]]
            why = "\n".join(check["evidence"] or [check["why"]])
            table.add_row(check["name"], f"[{colour}]{check['verdict']}[/]", escape(why))
        Console(highlight=False).print(table)
    if found["verdict"] == "leak":
        raise typer.Exit(LEAK_EXIT_CODE)
