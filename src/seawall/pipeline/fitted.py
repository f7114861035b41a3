"""What ``sw.fit`` gives back: one trained model in a folder of its own, and what it learnt of itself."""

import json
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.errors import ConfigError
from seawall.pipeline.cache import open_panel
from seawall.pipeline.fit_data import array_of
from seawall.pipeline.result import Predictions
from seawall.train.config import TrainConfig

if TYPE_CHECKING:
    from torch import nn

    from seawall.arrays import Float32
    from seawall.train.artefacts import FittedModel

FILES = ("model.json", "model.safetensors", "scaler.json", "inputs.json", "history.json")


class Scratch:
    """A temporary folder, gone when nobody holds this any more, or the process ends."""

    def __init__(self, place: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=".seawall_fit_", dir=place))
        self.remove = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model: weights, scaler and history in a folder; nothing else is held.

    Examples
    --------
    ::

        fitted = sw.fit("ridge", (x, y))
        fitted.predict(new_x)
        fitted.save("my_model")
    """

    folder: Path
    """``model.safetensors``, ``scaler.json``, ``history.json``, ``model.json``, as a fold of a run has them."""
    config: TrainConfig
    summary: Mapping[str, Any]
    """Epochs, the best one, why it stopped, its losses, counts of samples."""
    has_dates: bool = True
    """False for samples without dates, which have no IC."""
    scratch: Scratch | None = field(default=None, repr=False)
    """Gone with this object; None where a folder was named."""

    @property
    def history(self) -> list[dict[str, Any]]:
        """Numbers of each epoch: losses, scores of valid, learning rate, seconds."""
        epochs: list[dict[str, Any]] = json.loads((self.folder / "history.json").read_text(encoding="utf-8"))["epochs"]
        if self.has_dates:
            return epochs
        return [{key: value for key, value in epoch.items() if not _is_of_dates(key)} for epoch in epochs]

    @property
    def module(self) -> "nn.Module":
        """The torch module with the best weights; it takes scaled features and gives scaled predictions."""
        return self._read().module

    def predict(
        self, data: object, *, output: str | Path | None = None, ingest: Mapping[str, Any] | None = None
    ) -> "Float32 | Predictions":
        """Predict, in the unit of the target.

        Parameters
        ----------
        data
            ``x`` [N, L, F] or [N, F] as it was trained on; or a panel, its path, or tables with ``ingest``.
        output
            Of a panel, the folder predictions are written to; beside the model where missing.
        ingest
            For tables, as :func:`seawall.fit` takes it.

        Returns
        -------
        Float32 or Predictions
            Of arrays float32 [N], or [N, targets] of several. Of a panel, what a run has: files of (time, entity,
            prediction) in order of time, of every legal window, read when asked for. Memory is one batch and 8 bytes a
            window.

        Raises
        ------
        DataError
            Where lookback or features are not those of training.
        """
        if hasattr(data, "shape") and ingest is None:
            return self._of_arrays(data)
        return self._of_panel(data, Path(output) if output is not None else self.folder / "predictions", ingest)

    def _of_arrays(self, data: object) -> "Float32":
        from seawall.train.apply import predict_arrays

        knows_entities = getattr(self.config.model, "embedding_size", 0) or getattr(
            self.config.model, "entities", False
        )
        if self.config.model.static_names or knows_entities:
            do = "Predict a panel."
            raise ConfigError("data", f"{self.config.model.kind_name} also takes what arrays have not", do=do)
        x = array_of(data)
        sizes: dict[str, int] = {"batch_size": self.config.predict_batch_size, "threads": self.config.threads}
        predicted = predict_arrays(self._read(), x[:, None, :] if x.ndim == 2 else x, **sizes)
        return predicted[:, 0] if predicted.shape[1] == 1 else predicted

    def _of_panel(self, data: object, output: Path, ingest: Mapping[str, Any] | None) -> Predictions:
        from seawall.train.folds_file import fold_layout, write_folds
        from seawall.train.predict import predict_fold
        from seawall.windows.folds import Fold

        panel = open_panel(data, ingest)
        num_dates = panel.shape.num_dates
        output.mkdir(parents=True, exist_ok=True)
        whole = Fold(0, (0, 0), (0, 0), (0, num_dates))
        write_folds(output / "folds.json", [fold_layout(panel, whole)], num_dates)
        predict_fold(panel.path, output / "folds.json", 0, self.config, self.folder, output)
        return Predictions(output)

    def save(self, folder: str | Path) -> Path:
        """Copy the model into a folder, made if missing.

        Raises
        ------
        ConfigError
            Where the folder holds another model.
        """
        target = Path(folder)
        if (target / "model.json").exists():
            raise ConfigError(str(target), "there is a model already", do="Name another folder, or remove it.")
        target.mkdir(parents=True, exist_ok=True)
        for name in FILES[::-1]:  # model.json, which makes it one, comes last
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, target / name)
        return target

    def _read(self) -> "FittedModel":
        from seawall.train.artefacts import read_model

        return read_model(self.folder, self.config.model)


def _is_of_dates(key: str) -> bool:
    return key.startswith(("valid_ic", "valid_rank_ic", "train_ic", "train_rank_ic", "train_flat"))
