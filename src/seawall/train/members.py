"""The models of a fold: one, or one a seed, and baselines beside them; each is trained as if it were the only one."""

from pathlib import Path

from seawall.models.network_config import NetworkConfig
from seawall.train.config import TrainConfig
from seawall.train.members_config import PLAIN_KINDS, kind_of, seed_list
from seawall.train.sequence_config import SequenceConfig

MEMBERS = ("seed_", "baseline_")
"""How the names of members begin, which are names of folders too."""


def seeds_of(config: TrainConfig) -> tuple[int, ...]:
    """List the seeds of an ensemble in order; none where a fold has one model."""
    return seed_list(config.seeds, config.seed)


def judged_members(config: TrainConfig) -> tuple[str, ...]:
    """Name the models whose mean is the prediction: ``seed_N`` each, or the empty name of the only one."""
    return tuple(f"seed_{seed}" for seed in seeds_of(config)) or ("",)


def baseline_members(config: TrainConfig) -> tuple[str, ...]:
    """Name the baselines, ``baseline_KIND`` each, in alphabetical order."""
    return tuple(sorted(f"baseline_{kind_of(baseline)}" for baseline in config.baselines))


def trained_members(config: TrainConfig) -> tuple[str, ...]:
    """Name all models that are trained."""
    return judged_members(config) + tuple(name for name in baseline_members(config) if not is_plain(name))


def is_plain(member: str) -> bool:
    """Tell whether a baseline is computed without a model."""
    return member.removeprefix("baseline_") in PLAIN_KINDS


def of_member(config: TrainConfig, member: str) -> TrainConfig:
    """Give the config a member is trained with, which knows nothing of the others: what is done stays done."""
    alone = {"seeds": None, "baselines": ()}
    if member.startswith("seed_"):
        return config.model_copy(update={**alone, "seed": int(member.removeprefix("seed_"))})
    if not member.startswith("baseline_") or is_plain(member):
        return config.model_copy(update=alone)
    model = next(baseline for baseline in config.baselines if f"baseline_{kind_of(baseline)}" == member)
    if not isinstance(model, NetworkConfig):
        return config.model_copy(update=alone)
    solved = {"ranks": 1, "warm_start": False} if model.is_baseline else {}
    one_step = {"sequence": SequenceConfig()} if model.output == "last" else {}
    return config.model_copy(update={**alone, **solved, **one_step, "model": model})


def member_folder(models: Path, fold: int, member: str) -> Path:
    """Give the folder of the files of one model."""
    return models / f"fold_{fold:02d}" / member


def folder_of_fold_before(folder: Path, fold: int) -> Path:
    """Give where the same member of the fold before lies."""
    name = f"fold_{fold - 1:02d}"
    return folder.parent / name if folder.name.startswith("fold_") else folder.parent.parent / name / folder.name
