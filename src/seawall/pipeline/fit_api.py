"""``sw.fit``: any model on any data, by itself, with the loop and the files of a run."""

import copy
import inspect
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.budget.heartbeat import silent
from seawall.budget.limits import find_budget
from seawall.errors import ConfigError, DataError
from seawall.models.config import TcnAttentionConfig
from seawall.models.module_config import ModuleConfig
from seawall.models.module_source import source_key
from seawall.models.network_config import NetworkConfig
from seawall.pipeline.config import checked_model
from seawall.pipeline.fit_data import Asked, panel_of, samples_of
from seawall.pipeline.fitted import Fitted, Scratch
from seawall.train.claims import model_sizes
from seawall.train.config import TrainConfig
from seawall.units import parse_bytes
from seawall.windows.choose import choose_order

if TYPE_CHECKING:
    from seawall.stores.panel import Panel
    from seawall.windows.folds import Fold

VALID_SHARE = 0.2

LOOKBACK_PERIODS = 20
"""Of panels, as in a config."""

NOT_SETTINGS = ("target", "targets", "features", "lookback_periods", "folds", "model", "ranks", "seeds", "baselines")
"""Given by an argument, or of whole runs alone."""

NEEDS_DATES = ("valid_ic", "valid_rank_ic")


def fit(  # noqa: PLR0913 - the one place where a stranger sees all there is to choose
    model: object,
    data: object,
    y: object = None,
    *,
    target: str | Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    lookback: int | None = None,
    valid: object = VALID_SHARE,
    fold: "Fold | None" = None,
    output: str | Path | None = None,
    memory: str | int | None = None,
    ingest: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Fitted:
    """Train one model on one set of data, with the loop, the scaling and the early stopping of a run.

    Works in the calling process. Memory is what training holds (see the guide), and does not grow with samples: a panel
    is mapped, arrays are cut where they lie, and what can be read only once goes to disk first, at 4 bytes a value.

    Parameters
    ----------
    model
        Name of a kind (``"ridge"``), a mapping with its choices (``{"kind": "lstm", "hidden_size": 64}``), a
        ``torch.nn.Module`` (trained as it stands; it ends with the best weights), or a class of one. Samples without
        entities teach ``tcn_attention`` no embedding.
    data
        A panel or its path; files or a frame with ``ingest``; a frame of samples, one a row, with ``target``; arrays
        ``x`` [N, L, F] or [N, F] of NumPy or torch, with ``y`` [N] or [N, targets]; or any iterator of batches,
        ``(x, y)`` or ``{"x": ..., "y": ...}``, which is read once, to its end.
    y
        Targets of arrays. A sample whose targets are all NaN is left out.
    target, features
        Names of columns; of a panel the first target and all features where missing.
    lookback
        Consecutive rows a window of a panel holds, 20 where missing; arrays have their own.
    valid
        What decides when to stop: a share of the dates, or of the samples in the order given, taken from the end; or
        ``(x, y)``. Windows that overlap tell of one another: give a share only of samples in order of time.
    fold
        Of a panel: train and valid of a fold of :func:`seawall.folds`, purged as in a run. The model is then that
        of the run, to the last bit.
    output
        Folder for the model; a killed call goes on from the checkpoint there. Where missing, a temporary one that
        goes with what is returned.
    memory
        For reading tables, and to choose ``order: auto``.
    ingest
        For tables of entities and times: ``entity``, ``time`` and any other key of the config's ``ingest`` section.
    settings
        Any other key of the config's ``train`` section: ``max_epochs``, ``loss``, ``batch_size``, ``seed``, ...

    Returns
    -------
    Fitted
        Predicts, tells its history, and can be saved.

    Raises
    ------
    SeawallError
        ConfigError, DataError: with what was found, what is allowed and what to do.

    Notes
    -----
    Nothing after the end of valid is read. Targets of a panel that reach from train into valid are purged.

    Examples
    --------
    ::

        fitted = sw.fit("lstm", "market.panel", lookback=60, settings={"max_epochs": 5})
        fitted = sw.fit(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(600, 1)), (x, y))
    """
    names = (target,) if isinstance(target, str) else tuple(target or ())
    asked = Asked(targets=names, features=None if features is None else tuple(features), ingest=ingest, memory=memory)
    scratch = Scratch(_beside(output))
    panel = panel_of(data, asked) if y is None else None
    if panel is not None:
        given = _of_panel(panel, asked, lookback, fold or _last_fold(panel, valid))
    elif fold is not None or lookback is not None:
        raise ConfigError("lookback" if fold is None else "fold", "arrays have no dates", do="Leave it out.")
    else:
        given = _of_samples(data, y, valid, (asked, scratch.path))
    config = _config(model, given, dict(settings or {}), memory)
    folder = Path(output) if output is not None else scratch.path / "model"
    return _trained(given, config, folder, scratch if output is None else None)


@dataclass(frozen=True, slots=True)
class _Given:
    """Data as training takes them."""

    panel: "Panel"
    fold: "Fold"
    lookback_periods: int
    features: list[str] | None
    targets: list[str]
    has_dates: bool = True


def _beside(output: str | Path | None) -> Path:
    """Give a real disk for what is temporary: beside the output, else the current folder, else the system's."""
    place = Path.cwd() if output is None else Path(output).absolute().parent
    if output is not None:
        place.mkdir(parents=True, exist_ok=True)
    return place if os.access(place, os.W_OK) else Path(tempfile.gettempdir())


def _of_panel(panel: "Panel", asked: Asked, lookback: int | None, fold: "Fold") -> _Given:
    targets = list(asked.targets or panel.names("targets")[:1])
    if not targets:
        raise ConfigError("target", "the panel has no target", do="Declare one at ingest: targets.")
    features = None if asked.features is None else list(asked.features)
    return _Given(panel, fold, lookback or LOOKBACK_PERIODS, features, targets)


def _last_fold(panel: "Panel", valid: object) -> "Fold":
    """Cut the end of the calendar off as valid."""
    from seawall.windows.folds import Fold

    num_dates, share = panel.shape.num_dates, _share(valid)
    start = num_dates - max(1, round(share * num_dates))
    if start < 1:
        raise DataError("valid", "nothing is left to train on", found=f"{num_dates} dates", do="Bring more dates.")
    return Fold(0, (0, start), (start, num_dates), (num_dates, num_dates))


def _share(valid: object) -> float:
    if isinstance(valid, float) and 0 < valid < 1:
        return valid
    raise ConfigError("valid", "not a share", found=repr(valid)[:80], allowed="more than 0 and less than 1, or (x, y)")


def _of_samples(data: object, y: object, valid: object, means: tuple[Asked, Path]) -> _Given:
    """Write samples without dates as a store of their own."""
    from seawall.train.samples_store import SampleArrays, fold_of, write_samples

    asked, scratch = means
    arrays, features, targets = samples_of(data, y, asked, scratch / "train")
    if isinstance(valid, float):
        start = len(arrays.x) - max(1, round(_share(valid) * len(arrays.x)))
        if start < 1:
            raise DataError("valid", "nothing is left to train on", found=f"{len(arrays.x)} samples", do="Bring more.")
        segments = [
            SampleArrays(arrays.x[:start], arrays.y[:start]),
            SampleArrays(arrays.x[start:], arrays.y[start:]),
        ]
    else:
        judged, _, _ = samples_of(valid, None, asked, scratch / "valid")
        if (judged.x.shape[1:], judged.y.shape[1:]) != (arrays.x.shape[1:], arrays.y.shape[1:]):
            found, allowed = str(list(judged.x.shape)), str(list(arrays.x.shape))
            raise DataError("valid", "another shape than what is trained on", found=found, allowed=allowed)
        segments = [arrays, judged]
    panel = write_samples(scratch / "samples.panel", segments, (features, targets))
    for spooled in (scratch / "train", scratch / "valid"):
        shutil.rmtree(spooled, ignore_errors=True)
    return _Given(panel, fold_of(segments), arrays.x.shape[1], None, targets, has_dates=False)


def _config(model: object, given: _Given, settings: dict[str, Any], memory: str | int | None) -> TrainConfig:
    """Check all choices as a config's; the lengths of folds are stand-ins, for the fold is there."""
    for name in NOT_SETTINGS:
        if name in settings:
            raise ConfigError(f"settings.{name}", "not one of the settings", do="Give it as an argument, or in a run.")
    module = _module(model)
    values = {
        **settings,
        **({"targets": given.targets} if len(given.targets) > 1 else {"target": given.targets[0]}),
        "features": given.features,
        "lookback_periods": given.lookback_periods,
        "folds": {"train": 1, "valid": 1, "test": 1},
        "model": model if module is None else {"kind": "module", "target": module.target},
    }
    config = checked_model(TrainConfig, values, "settings")
    if module is not None:
        config = config.model_copy(update={"model": module})
    if not given.has_dates:
        if isinstance(config.model, TcnAttentionConfig):  # samples are nobody's
            config = config.model_copy(update={"model": config.model.model_copy(update={"embedding_size": 0})})
        _refuse_dates(config)
    if config.order == "auto":
        room_bytes = find_budget(None if memory is None else str(memory)).bytes
        shape = given.panel.shape
        pool_bytes = parse_bytes(config.pool, where="settings.pool")
        order = choose_order("auto", 4 * shape.num_rows * shape.num_features, room_bytes, pool_bytes).order
        config = config.model_copy(update={"order": order})
    return config


def _module(model: object) -> "ModuleConfig | None":
    """Stand for a module or a class of one; None for our own kinds by name or mapping."""
    if isinstance(model, str | Mapping | NetworkConfig):
        return None
    from torch import nn

    from seawall.models.user_module import given_module

    if isinstance(model, nn.Module):
        return given_module(model)
    if isinstance(model, type) and issubclass(model, nn.Module):
        try:
            target = f"{inspect.getfile(model)}:{model.__name__}"
        except (TypeError, OSError) as error:
            do = "Give an instance of it."
            raise ConfigError("model", "its code is in no file", found=model.__name__, do=do) from error
        return ModuleConfig(target=target, source=source_key(target))
    raise ConfigError(
        "model", "not a model", found=type(model).__name__, allowed="a name, a mapping, or a torch module"
    )


def _refuse_dates(config: TrainConfig) -> None:
    """Raise where a choice compares the names of a date, or asks who a sample is of."""
    asked = {
        "settings.early_stopping": config.early_stopping in NEEDS_DATES,
        "settings.loss": config.loss.by_date,
        "settings.order": config.order == "by_time",
        "model.static": bool(config.model.static_names),
        "model.entities": bool(getattr(config.model, "entities", False)),
        "model.output": config.is_sequence,
    }
    for place, is_asked in asked.items():
        if is_asked:
            raise ConfigError(place, "samples have neither dates nor entities", do="Make a panel of them: sw.ingest.")


def _trained(given: _Given, config: TrainConfig, folder: Path, scratch: Scratch | None) -> Fitted:
    from seawall.train.fit import fit as train
    from seawall.train.run import WHOLE

    _check_given(config, given)
    summary = train(given.panel, given.fold, config, folder, means=(False, WHOLE), beat=silent)
    fitted = Fitted(folder, config, summary, given.has_dates, scratch)
    if not isinstance(config.model, ModuleConfig):
        return fitted
    _ = fitted.module  # the module that was given ends with the best weights, not with the last
    return fitted


def _check_given(config: TrainConfig, given: _Given) -> None:
    """Try a module before it learns, on a copy: what it must keep to is told at once."""
    from seawall.models.probe import check_contract
    from seawall.models.user_module import GivenModule, UserModule

    model = config.model
    if not isinstance(model, GivenModule):
        return
    import torch

    sizes = model_sizes(config, given.panel.shape)
    with torch.random.fork_rng(devices=[]):
        copied = model.model_copy(update={"module": copy.deepcopy(model.module)})
        check_contract(UserModule(copied, sizes), copied, sizes)
