"""Where the code of a user's own module lies, found without running a line of it."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

from seawall.errors import ConfigError
from seawall.stores.atomic import file_checksum

CODE_ENDING = ".py"


def split_target(target: str) -> tuple[str, str]:
    """Part ``package.module:Class`` or ``path/to/file.py:Class`` at its last colon."""
    place, _, name = target.rpartition(":")
    return place, name


def source_file(target: str) -> Path:
    """Find the file a target names; packages are looked up as ``import`` does, then in the current folder.

    Raises
    ------
    ConfigError
        Where there is none.
    """
    place, _ = split_target(target)
    if place.endswith(CODE_ENDING):
        path, do = Path(place).absolute(), "Relative paths are taken from the current folder."
        if path.is_file():
            return path
        raise ConfigError("train.model.target", "no such file", found=str(path), do=do)
    spec = _spec(place)
    if spec is None or spec.origin is None or not spec.origin.endswith(CODE_ENDING):
        raise ConfigError(
            "train.model.target",
            "no Python module of this name",
            found=repr(place),
            allowed="package.module:Class, or path/to/file.py:Class",
            do="Install it, set PYTHONPATH, or name its file.",
        )
    return Path(spec.origin)


def source_key(target: str) -> str:
    """Give the checksum of the file a target names: other code is another model."""
    return file_checksum(source_file(target))


def _spec(dotted: str) -> ModuleSpec | None:
    """Find a module by its name, package by package; unlike importlib's own search, no package is run for it."""
    found, places, name = None, None, ""
    for part in dotted.split("."):
        name = f"{name}.{part}" if name else part
        found = _found(name, places)
        if found is None:
            return None
        places = list(found.submodule_search_locations or ())
    return found


def _found(name: str, places: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, places)
        if spec is not None:
            return spec
    if places is not None:
        return None
    from importlib.machinery import PathFinder

    return PathFinder.find_spec(name, [str(Path.cwd())])
