"""Entry point: commands, exit codes, and errors without tracebacks."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from seawall import __version__
from seawall.cli import demo, doctor, evidence, ingest, plan, run, stages, status
from seawall.errors import SeawallError

EPILOG = (
    "Exit codes: 0 done, 2 wrong usage or config, 3 budget refused, 4 bad data, 5 stage killed or failed,"
    " 130 interrupted."
)

app = typer.Typer(
    name="seawall",
    help="Walk-forward deep learning on panels inside a declared memory budget: exact, and resumable after any kill.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("ingest")(ingest.ingest)
app.command("train")(stages.train)
app.command("predict")(stages.predict)
app.command("evaluate")(stages.evaluate)
app.command("join")(stages.join)
app.command("backtest")(stages.backtest)
app.command("report")(stages.report)
app.command("status")(status.status)
app.command("inspect")(evidence.inspect)
app.command("verify")(evidence.verify)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"seawall {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the command line; a SeawallError becomes its text on standard error and its exit code."""
    try:
        app()
    except SeawallError as error:
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        console.print(f"[bold red]{type(error).__name__}[/] {escape(str(error))}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
