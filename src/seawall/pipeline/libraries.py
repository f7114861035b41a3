"""Libraries that come with an extra, found before the first stage."""

from collections.abc import Sequence
from importlib.util import find_spec

from seawall.errors import ConfigError


def require_libraries(stages: Sequence[str]) -> None:
    """Find a missing extra before the first stage, not hours later; nothing is imported."""
    for stage, library, extra in (
        ("train", "torch", "train"),
        ("train", "safetensors", "train"),
        ("report", "plotly", "report"),
    ):
        if stage in stages and find_spec(library) is None:
            raise ConfigError(
                stage,
                "a library this stage needs is not installed",
                found=f"no {library}",
                do=f"pip install 'seawall[{extra}]'.",
            )
