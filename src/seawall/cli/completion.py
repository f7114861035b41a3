"""What the shell completes: stages, run folders, configs and panel stores near by. Nothing heavy is imported."""

from collections.abc import Iterator
from pathlib import Path

STAGES = ("ingest", "folds", "train", "predict", "evaluate", "join", "backtest", "search", "report")


def stages(incomplete: str) -> list[str]:
    """Complete the name of a stage."""
    return [name for name in STAGES if name.startswith(incomplete)]


def run_folders(incomplete: str) -> list[str]:
    """Complete a run folder: one that holds a run.json, in the folder that is being typed, or one or two below."""
    folder = _typed_folder(incomplete)
    places = [path for pattern in ("run.json", "*/run.json", "*/*/run.json") for path in _found(folder, pattern)]
    return sorted({name for place in places if (name := str(place.parent)).startswith(incomplete) and name != "."})


def configs(incomplete: str) -> list[str]:
    """Complete a config file, and the folders on the way to one."""
    return _files(incomplete, ("*.yaml", "*.yml"))


def _files(incomplete: str, patterns: tuple[str, ...]) -> list[str]:
    folder = _typed_folder(incomplete)
    files = [str(path) for pattern in patterns for path in _found(folder, pattern)]
    below = [f"{path}/" for path in _found(folder, "*") if path.is_dir() and not path.name.startswith(".")]
    return sorted(name for name in (*files, *below) if name.startswith(incomplete))


def _typed_folder(incomplete: str) -> Path:
    head, slash, _ = incomplete.rpartition("/")
    return Path(head or slash or ".")


def _found(folder: Path, pattern: str) -> Iterator[Path]:
    try:
        yield from folder.glob(pattern)
    except OSError:
        return  # a folder that cannot be read completes to nothing
