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
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Do folds and searches on a Ray cluster: its head's HOST:PORT, or auto for the one of this machine; or on"
        " the tasks of a job of torchrun or srun. The budget then holds for each node or task.",
        metavar="auto|ADDRESS|tasks",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors, and JSON where it is asked for.")]
ConfigFile = Annotated[
    Path, typer.Argument(help="Config file (YAML).", metavar="CONFIG.yaml", autocompletion=completion.configs)
]
RunFolder = Annotated[Path, typer.Argument(help="Run folder.", metavar="RUN", autocompletion=completion.run_folders)]

# Of commands that take a run, or tables of anybody.
OfRun = Annotated[Path | None, typer.Argument(help="Config file (YAML) of a run.", metavar="[CONFIG.yaml]")]
Scores = Annotated[
    list[str] | None,
    typer.Option("--predictions", help="Instead of a run: files, folders or globs with scores.", metavar="PATH"),
]
ScoreColumn = Annotated[
    str | None, typer.Option("--prediction", help="Column with the score; a usual name when missing.")
]
ReturnsEntity = Annotated[
    str | None, typer.Option("--returns-entity", help="The entity column of the returns, if it differs.")
]
ReturnsTime = Annotated[
    str | None, typer.Option("--returns-time", help="The time column of the returns, if it differs.")
]
Duplicates = Annotated[str, typer.Option("--duplicates", help="Repeated keys of the returns: error, first or last.")]
ScoreDuplicates = Annotated[
    str, typer.Option("--prediction-duplicates", help="Repeated keys of the predictions: error, first or last.")
]
TimeFormat = Annotated[
    str | None, typer.Option("--time-format", help="strptime format, iso or step; inferred when missing.")
]
