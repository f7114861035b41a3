"""The Python reference names everything public, and every docstring tells what a stranger must know."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import seawall as sw
from seawall import metrics

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
LISTED = re.findall(r"^::: ([\w.]+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def found(path: str) -> object:
    """Load what a path names; functions that share the name of a package are found where they are written."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def called(thing: object) -> object:
    """Give the function behind a package that can be called."""
    function = getattr(thing, "_function", None)
    return function() if isinstance(thing, ModuleType) and function is not None else thing


def test_every_public_name_has_its_place_on_the_page() -> None:
    listed = [found(path) for path in LISTED]
    for package in (sw, metrics, sw.datasets):
        for name in package.__all__:
            thing = called(getattr(package, name))
            assert isinstance(thing, ModuleType) or any(thing is one for one in listed), f"{package.__name__}.{name}"


def test_nothing_is_on_the_page_twice() -> None:
    assert len(set(LISTED)) == len(LISTED)


@pytest.mark.parametrize("path", LISTED)
def test_a_public_docstring_tells_its_arguments_what_comes_out_and_what_it_holds(path: str) -> None:
    thing = found(path)
    text = inspect.getdoc(thing) or ""
    if isinstance(thing, type) and not issubclass(thing, Exception):
        methods = [one for name, one in vars(thing).items() if name == "update"]
        text += "".join(inspect.getdoc(method) or "" for method in methods)
    else:
        methods = [thing] if inspect.isfunction(thing) else []
    for method in methods:
        parameters = [name for name in inspect.signature(method).parameters if name != "self"]
        missing = [name for name in parameters if not re.search(rf"\b{name}\b", text)]
        assert missing == [], f"{path} does not tell of {missing}"
    if inspect.isfunction(thing) and inspect.signature(thing).parameters:
        assert "Returns\n---" in text, path
        assert "Parameters\n---" in text, path
        assert re.search(r"[Mm]emory (is|grows)|inside the budget", text), f"{path}: memory"


def test_the_page_of_the_site_holds_every_name(site: Path) -> None:
    page = (site / "api" / "index.html").read_text(encoding="utf-8")
    for path in LISTED:
        assert f'id="{path}"' in page, path
    assert ":class:" not in page
    assert ":func:" not in page
