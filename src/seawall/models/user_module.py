"""A user's own torch module, called as our networks are; what its code does wrong is told with its own line."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn

from seawall.budget.causes import CAUSES, cause_of_exception
from seawall.errors import ConfigError, SeawallError, StageError, nearest
from seawall.models.module_config import ModuleConfig
from seawall.models.module_source import CODE_ENDING, source_file, source_key, split_target
from seawall.models.shape import ModelShape
from seawall.stores.atomic import text_key

WHERE = "train.model.target"


class GivenModule(ModuleConfig):
    """A module that is there already, with its weights: it is trained as it stands, and nowhere else."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    module: nn.Module = Field(exclude=True, repr=False)

    @property
    def file(self) -> Path:
        """Where its class was written, for messages."""
        try:
            return Path(inspect.getfile(type(self.module)))
        except (TypeError, OSError):
            return Path(type(self.module).__name__)


def given_module(module: nn.Module, **choices: Any) -> GivenModule:  # noqa: ANN401 - values of a config
    """Stand for a module as it is now: its class and its weights are its fingerprint."""
    weights = (f"{name}:{text_key(str(value.tolist()))}" for name, value in module.state_dict().items())
    source = text_key(type(module).__qualname__, repr(module), *weights)
    return GivenModule(target=f"instance:{type(module).__name__}", source=source, module=module, **choices)


class UserModule(nn.Module):
    """Call ``forward(features)``, with ``static=`` and ``entity=`` where the config says that it takes them.

    Features are float32 [B, L, F], static attributes float32 [B, S], entity numbers int64 [B]; what comes back must be
    float32 [B, K], or [B] of one output, or [B, L, K] where every step is predicted. Weights go by the names the module
    itself gives them.
    """

    def __init__(self, config: ModuleConfig, shape: ModelShape) -> None:
        super().__init__()
        self.config, self.shape, self.num_outputs = config, shape, shape.num_outputs
        if isinstance(config, GivenModule):
            self.file, self.inner = config.file, config.module
            return
        self.file = source_file(config.target)
        if config.source and source_key(config.target) != config.source:
            do = "Put it back, or run again from the stage train: other code is another model."
            raise ConfigError(WHERE, "the code has changed since this model was planned", found=str(self.file), do=do)
        made = load_class(config.target)
        arguments = {**_sizes_asked_for(made, shape), **config.arguments}
        try:
            inner = made(**arguments)
        except Exception as error:
            raise told(error, self.file, "the class cannot be made", f"arguments {sorted(arguments)}") from error
        if not isinstance(inner, nn.Module):
            allowed = "a torch.nn.Module"
            raise ConfigError(WHERE, "not a module", found=type(inner).__name__, allowed=allowed)
        self.inner = inner

    def forward(self, x_BLF: Tensor, static_BS: Tensor | None = None, entity_B: Tensor | None = None) -> Tensor:
        """Predict one value per sample and output, or per step too.

        Raises
        ------
        StageError
            Where the user's code raises, or gives back something else.
        """
        beside = ({"static": static_BS} if self.config.static else {}) | (
            {"entity": entity_B} if self.config.entities else {}
        )
        try:
            predicted = self.inner(x_BLF, **beside)
        except Exception as error:
            raise told(error, self.file, "forward failed", _contract(x_BLF, beside), while_running=True) from error
        return self._checked(predicted, x_BLF)

    def _checked(self, predicted: object, x_BLF: Tensor) -> Tensor:
        is_sequence = self.config.output == "sequence"
        wanted = (*(x_BLF.shape[:2] if is_sequence else x_BLF.shape[:1]), self.num_outputs)
        if not isinstance(predicted, Tensor):
            found = f"{type(predicted).__name__} of {len(predicted)}" if isinstance(predicted, tuple | list) else ""
            raise self._wrong("forward gives no tensor", found or type(predicted).__name__, str(list(wanted)))
        if self.num_outputs == 1 and predicted.shape == wanted[:-1]:
            predicted = predicted.unsqueeze(-1)
        if tuple(predicted.shape) != wanted:
            raise self._wrong("forward gives another shape", str(list(predicted.shape)), str(list(wanted)))
        if not predicted.dtype.is_floating_point:
            raise self._wrong("forward gives no floating point numbers", str(predicted.dtype), "torch.float32")
        # Float64 is taken as it is computed; what is stored is float32.
        return predicted.float() if predicted.dtype == torch.float64 else predicted

    def _wrong(self, what: str, found: str, allowed: str) -> StageError:
        do = f"Change forward in {self.file}; B samples x outputs, or B x L x outputs with output: sequence."
        return StageError(WHERE, what, found=found, allowed=allowed, do=do)

    def state_dict(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - torch's own signature
        """Give the weights by the names the user's module gives them."""
        return self.inner.state_dict(*args, **options)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:  # noqa: ANN401 - torch's own signature
        """Take what :meth:`state_dict` gave."""
        return self.inner.load_state_dict(state_dict, strict=strict, assign=assign)


def load_class(target: str) -> Any:  # noqa: ANN401 - a class of the user's
    """Import the file a target names and give its class.

    Raises
    ------
    ConfigError
        Where the file or the class is missing, or importing it fails: with the user's own line.
    """
    file, (place, name) = source_file(target), split_target(target)
    try:
        module = _from_file(file) if place.endswith(CODE_ENDING) else _by_name(place)
    except Exception as error:
        raise told(error, file, "importing it failed") from error
    made = getattr(module, name, None)
    if made is None:
        known = [key for key, value in vars(module).items() if inspect.isclass(value)]
        raise ConfigError(WHERE, "no such class in this file", found=f"{name} in {file}", do=nearest(name, known))
    if not inspect.isclass(made) or not issubclass(made, nn.Module):
        raise ConfigError(WHERE, "not a class of torch.nn.Module", found=name, allowed="torch.nn.Module")
    return made


def told(
    error: Exception, file: Path, what: str, called_with: str = "", *, while_running: bool = False
) -> SeawallError:
    """Say what the user's code has raised and where; a lack of memory, and what is told already, are raised on."""
    cause = CAUSES.get(cause_of_exception(error))
    if isinstance(error, SeawallError) or (cause is not None and cause.is_memory):
        raise error
    frames = [frame for frame in extract_tb(error.__traceback__) if "/seawall/models/" not in frame.filename]
    own = [frame for frame in frames if Path(frame.filename) == file] or frames[-1:]
    line = f"{own[-1].filename}, line {own[-1].lineno} ({own[-1].name})" if own else str(file)
    text = (str(error).strip().splitlines() or ["no text"])[0][:300]
    do = "Change the code there." + (f" It was called with {called_with}." if called_with else "")
    kind = StageError if while_running else ConfigError
    return kind(f"{WHERE}: {line}", what, found=f"{type(error).__name__}: {text}", do=do)


def _sizes_asked_for(made: Any, shape: ModelShape) -> dict[str, int]:  # noqa: ANN401 - any class
    """Give the sizes that a class names among its arguments."""
    try:
        names = inspect.signature(made).parameters
    except (TypeError, ValueError):
        return {}
    return {name: size for name, size in asdict(shape).items() if name in names}


def _contract(x_BLF: Tensor, beside: dict[str, Tensor | None]) -> str:
    parts = [f"features {list(x_BLF.shape)}", *(f"{n} {list(v.shape)}" for n, v in beside.items() if v is not None)]
    return ", ".join(parts)


def _by_name(dotted: str) -> ModuleType:
    """Import a module; the current folder is looked in last."""
    _look_in(Path.cwd())
    return importlib.import_module(dotted)


def _from_file(file: Path) -> ModuleType:
    """Import a file by its path, once a process; what it imports from beside it is found."""
    name = f"seawall_user_{text_key(str(file))}"
    if name in sys.modules:
        return sys.modules[name]
    _look_in(file.parent)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
