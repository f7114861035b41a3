"""Walk-forward deep learning on panels inside a declared memory budget: exact, and resumable after any kill.

Names are loaded when first used, so that ``import seawall`` costs next to nothing.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall import datasets, metrics
    from seawall.errors import SeawallError
    from seawall.pipeline.api import ingest, run
    from seawall.pipeline.fit_api import fit
    from seawall.pipeline.loader import folds, windows
    from seawall.pipeline.result import Run
    from seawall.pipeline.search import search
    from seawall.pipeline.store_api import append, compact, export
    from seawall.stores.panel import Panel
    from seawall.stores.panel import Panel as open  # noqa: N813 - sw.open reads like the built-in, on purpose
    from seawall.windows.combinatorial import Combinatorial
    from seawall.windows.folds import Dated, Rolling

__version__ = "0.1.0"

__all__ = [
    "Combinatorial",
    "Dated",
    "Panel",
    "Rolling",
    "Run",
    "SeawallError",
    "append",
    "compact",
    "datasets",
    "export",
    "fit",
    "folds",
    "ingest",
    "metrics",
    "open",
    "run",
    "search",
    "windows",
]

_PLACES = {
    "Panel": ("seawall.stores.panel", "Panel"),
    "Combinatorial": ("seawall.windows.combinatorial", "Combinatorial"),
    "Dated": ("seawall.windows.folds", "Dated"),
    "Rolling": ("seawall.windows.folds", "Rolling"),
    "Run": ("seawall.pipeline.result", "Run"),
    "SeawallError": ("seawall.errors", "SeawallError"),
    "append": ("seawall.pipeline.store_api", "append"),
    "compact": ("seawall.pipeline.store_api", "compact"),
    "datasets": ("seawall.datasets", ""),
    "export": ("seawall.pipeline.store_api", "export"),
    "fit": ("seawall.pipeline.fit_api", "fit"),
    "folds": ("seawall.pipeline.loader", "folds"),
    "ingest": ("seawall.ingest", ""),
    "metrics": ("seawall.metrics", ""),
    "open": ("seawall.stores.panel", "Panel"),
    "run": ("seawall.pipeline.api", "run"),
    "search": ("seawall.search", ""),
    "windows": ("seawall.windows", ""),
}

_CALLS = {
    "ingest": ("seawall.pipeline.api", "ingest"),
    "search": ("seawall.pipeline.search", "search"),
    "windows": ("seawall.pipeline.loader", "windows"),
}
"""Packages whose name is also a public function: ``sw.windows(...)``, and ``import seawall.windows.folds``."""


class _CallablePackage(ModuleType):
    """A package that can be called; its signature is that of the function it stands for."""

    @property
    def __signature__(self) -> object:
        from inspect import signature

        return signature(self._function())

    def _function(self) -> "Callable[..., object]":
        from importlib import import_module

        module, attribute = _CALLS[self.__name__.rpartition(".")[2]]
        function: Callable[..., object] = getattr(import_module(module), attribute)
        return function

    def __call__(self, *arguments: object, **options: object) -> object:
        return self._function()(*arguments, **options)


class _Package(ModuleType):
    """The package itself; it makes those packages callable when they are imported, by whomever."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _CALLS and isinstance(value, ModuleType):
            value.__class__ = _CallablePackage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module 'seawall' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _PLACES[name]
    loaded = import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])
