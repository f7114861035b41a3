"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from seawall.cli import completion

Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        help="Memory budget, for example 2GiB. Missing: the config's, else the smaller of the container's room and"
        " 80 % of available memory.",
        metavar="SIZE",
    ),
]
Reserve = Annotated[
    str | None,
    typer.Option(
        "--reserve",
        help="Available memory to leave to other processes, for example 800MiB. Looked at again before every stage.",
        metavar="SIZE",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
ConfigFile = Annotated[
    Path, typer.Argument(help="Config file (YAML).", metavar="CONFIG.yaml", autocompletion=completion.configs)
]
RunFolder = Annotated[Path, typer.Argument(help="Run folder.", metavar="RUN", autocompletion=completion.run_folders)]
