"""Entry point: commands, exit codes, and errors without tracebacks."""

import signal
import sys
from importlib import import_module
from io import TextIOWrapper
from types import FrameType
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from seawall import __version__
from seawall.budget.beginning import use_ordinary_pages
from seawall.cli.display import rows_table
from seawall.errors import SeawallError, StageError, nearest

EPILOG = (
    "Exit codes: 0 done, 2 wrong usage or config, 3 budget refused, 4 bad data, 5 stage killed or failed,"
    " 130 interrupted."
)

COMMANDS = {
    "demo": ("demo", "demo"),
    "init": ("init", "init"),
    "run": ("run", "run"),
    "plan": ("plan", "plan"),
    "ingest": ("ingest", "ingest"),
    "append": ("append", "append"),
    "compact": ("append", "compact"),
    "export": ("export", "export"),
    "import": ("importing", "take_in"),
    "train": ("stages", "train"),
    "predict": ("predict", "predict"),
    "evaluate": ("evaluate", "evaluate"),
    "join": ("join", "join"),
    "backtest": ("stages", "backtest"),
    "search": ("search", "search"),
    "report": ("report", "report"),
    "status": ("status", "status"),
    "watch": ("watch", "watch"),
    "schema": ("init", "schema"),
    "inspect": ("evidence", "inspect"),
    "verify": ("evidence", "verify"),
    "doctor": ("doctor", "app"),
    "clean": ("clean", "sweep"),
    "cluster": ("cluster", "app"),
}
"""Module below ``seawall.cli`` and function of each command, in the order of the help."""


class Commands(TyperGroup):
    """Import a command's module when it is asked for: the waiting parent of a run then holds no other command's."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - a class of click's, which Typer carries
        """Name all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401 - the same
        """Give a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        found = getattr(import_module(f"seawall.cli.{module}"), name)
        if isinstance(found, typer.Typer):
            group = found
        else:
            group = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)
            group.command(cmd_name)(found)
        command = typer.main.get_command(group)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - the same
        """Find the command that is called; a misspelt one is told the nearest names."""
        if args and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}: {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="seawall",
    cls=Commands,
    help="Walk-forward deep learning on panels inside a declared memory budget: exact, and resumable after any kill.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


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
    use_ordinary_pages()
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
