"""``seawall report``: the report of a run anew, or runs side by side."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seawall.cli.options import AsJson, Memory, Quiet, Reserve
from seawall.cli.outside import Asked, act_outside
from seawall.cli.stages import only
from seawall.errors import ConfigError
from seawall.pipeline.reports import report_runs
from seawall.units import format_bytes


def report(
    runs: Annotated[
        list[Path], typer.Argument(help="One config file, or one run folder, or several.", metavar="CONFIG.yaml|RUN...")
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="File to write: report.html in the run, or compare.html here when missing.", metavar="FILE"),
    ] = None,
    memory: Memory = None,
    reserve: Reserve = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the HTML report of a run from what is there, or of several runs side by side.

    Several: what differs in their configurations, IC with a test of the difference, statistics, data and memory.

    Example: seawall report runs/pse

    Example: seawall report runs/a runs/b runs/c --output compare.html
    """
    if len(runs) == 1 and not runs[0].is_dir():
        if output is not None:
            raise ConfigError("--output", "takes run folders", found=str(runs[0]), do="Name the run folder.")
        only(("report",), runs[0], memory, as_json=as_json, quiet=quiet, reserve=reserve)
        return
    target = output or (runs[0] / "report.html" if len(runs) == 1 else Path("compare.html"))
    act_outside(partial(report_runs, runs, target), Asked(memory, reserve, as_json, quiet), _show)


def _show(summary: dict[str, object]) -> None:
    console = Console(highlight=False)
    runs = summary.get("runs")
    if isinstance(runs, list):
        table = Table(title="runs side by side", title_justify="left")
        for name in ("run", "Rank IC", "p", "less 1st", "p", "return", "Sharpe", "peak"):
            table.add_column(name, justify="left" if name == "run" else "right", overflow="fold")
        for run in runs:
            beside, money, ic = run["beside_first"] or {}, run["money"], run["rank_ic"]
            peak = run["memory"]["measured_bytes"]
            table.add_row(
                escape(run["name"]),
                _number(ic.get("mean"), ".4f"),
                _number(ic.get("p_hac"), ".3f"),
                _number(beside.get("mean"), "+.4f"),
                _number(beside.get("p_hac"), ".3f"),
                _number(money.get("annual_return"), ".1%"),
                _number(money.get("sharpe"), ".2f"),
                "-" if peak is None else format_bytes(int(peak)),
            )
        console.print(table)
    console.print(f"report: {escape(str(summary['path']))}", soft_wrap=True)


def _number(value: float | None, write: str) -> str:
    return "-" if value is None else f"{value:{write}}"
