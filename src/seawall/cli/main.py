"""Entry point: commands, exit codes, and errors without tracebacks."""

import signal
import sys
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from seawall import __version__
from seawall.cli import (
    append,
    clean,
    demo,
    doctor,
    evaluate,
    evidence,
    export,
    importing,
    ingest,
    init,
    join,
    plan,
    predict,
    report,
    run,
    search,
    stages,
    status,
    watch,
)
from seawall.cli.display import rows_table
from seawall.errors import SeawallError, StageError

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
app.command("init")(init.init)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("ingest")(ingest.ingest)
app.command("append")(append.append)
app.command("compact")(append.compact)
app.command("export")(export.export)
app.command("import")(importing.take_in)
app.command("train")(stages.train)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("join")(join.join)
app.command("backtest")(stages.backtest)
app.command("search")(search.search)
app.command("report")(report.report)
app.command("status")(status.status)
app.command("watch")(watch.watch)
app.command("schema")(init.schema)
app.command("inspect")(evidence.inspect)
app.command("verify")(evidence.verify)
app.add_typer(doctor.app, name="doctor")
app.command("clean")(clean.sweep)


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name the terminal cannot show is no reason to fail
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)  # a stop by a scheduler is a Ctrl-C, in order
    try:
        app()
    except SeawallError as error:
        _fail(error)
    except OSError as error:
        what, found = "a file cannot be read or written", error.strerror or str(error)
        _fail(StageError(str(error.filename or "seawall"), what, found=found, do="Run the same command again."))
    except KeyboardInterrupt:
        sys.exit(130)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(number)


def _fail(error: SeawallError) -> NoReturn:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"[bold red]{type(error).__name__}[/] {escape(error.headline or str(error))}")
    if error.rows:
        console.print(rows_table([(name, text) for name, text in error.rows if not name.endswith(":")]))
        for name, text in error.rows:
            if name.endswith(":"):  # a command is copied: it is not broken where the terminal ends
                console.print(f"  [dim]{escape(name)}[/] {escape(text)}")
    sys.exit(error.exit_code)
