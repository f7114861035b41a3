"""``seawall init``: a first config, every guess explained; ``seawall schema``: what a config may hold, for editors."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from seawall.budget.limits import Reserve as Left
from seawall.budget.limits import find_budget
from seawall.cli.display import Display, print_json
from seawall.cli.options import AsJson, Memory, Quiet, Reserve
from seawall.cli.run import own_command
from seawall.pipeline.init.run import Asked, Written
from seawall.pipeline.init.run import init as write_config
from seawall.pipeline.schema import schema_text
from seawall.stores.atomic import write_text
from seawall.units import format_bytes

TOLD = ("ingest.entity", "ingest.time", "ingest.layout", "ingest.prices", "ingest.targets", "train.folds")
"""Guesses worth a look before anything runs."""


def init(  # noqa: PLR0913 - one option each
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders or globs; a table of static attributes may be among them.", metavar="FILE..."
        ),
    ],
    output: Annotated[Path, typer.Option(help="The config to write.", metavar="FILE.yaml")] = Path("config.yaml"),
    entity: Annotated[str | None, typer.Option(help="Column that names the entity; guessed when missing.")] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time; guessed when missing.")] = None,
    time_format: Annotated[
        str | None, typer.Option(help="How times are written, where that is ambiguous, such as '%d/%m/%Y'.")
    ] = None,
    price: Annotated[
        str | None, typer.Option(help="Price column that returns are taken from; guessed when missing.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing config.")] = False,
    memory: Memory = None,
    reserve: Reserve = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Look at a data file and write a commented config that runs, every guess with its reason.

    At most a million rows are read. What must not be guessed, such as whether days or months come first, is asked for.
    Example:

        seawall init bars.csv --output config.yaml
    """
    asked = Asked(tuple(sources), output, entity, time, time_format, price, overwrite=force)
    with Display(quiet=quiet or as_json) as display:
        written = write_config(asked, find_budget(memory, reserve=Left(reserve)), display, own_command())
    if as_json:
        print_json(written.record())
    elif not quiet:
        _show(written)


def _show(written: Written) -> None:
    console = Console(highlight=False)
    for guess in written.guesses:
        if guess.place in TOLD:
            console.print(f"[bold]{guess.place}[/] [dim]{escape(_short(guess.value))}[/]", soft_wrap=True)
            console.print(f"  {escape(guess.why)}")
    config = escape(str(written.path))
    console.print(f"\n{config}: every guess is explained in it", soft_wrap=True)
    console.print(f"smallest budget that would do: {format_bytes(written.smallest_budget_bytes)}")
    console.print(f"look at the plan:  seawall plan {config}", soft_wrap=True)
    console.print(f"run all of it:     seawall run {config}", soft_wrap=True)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else text[:97] + "..."


def schema(
    output: Annotated[Path | None, typer.Option(help="File to write; printed when missing.", metavar="FILE")] = None,
    search: Annotated[bool, typer.Option("--search", help="Of a search's config, in place of a run's.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Print the JSON Schema of the config, by which editors complete and check it.

    A first line of the config tells the editor: # yaml-language-server: $schema=seawall.schema.json. Example:

        seawall schema --output seawall.schema.json
    """
    if output is not None:
        write_text(output, schema_text(search_only=search))
    if as_json or (output is None and not quiet):
        print(schema_text(search_only=search), end="")
