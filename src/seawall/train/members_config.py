"""What a fold may have beside one model: the same model from other seeds, and baselines it has to beat."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from seawall.errors import nearest
from seawall.models.config import (
    KINDS,
    BranchLstmConfig,
    LstmAttentionConfig,
    LstmConfig,
    RidgeConfig,
    TcnAttentionConfig,
)
from seawall.models.lightgbm_config import LightGbmConfig
from seawall.models.network_config import NetworkConfig
from seawall.stores.columns import member_column

MOST_SEEDS = 100


class MeanConfig(BaseModel):
    """The mean of the target over train: what a model must beat to have learnt anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mean"] = "mean"
    is_trained: ClassVar[bool] = False


class LastValueConfig(BaseModel):
    """The last target of the entity that is known by then (persistence); undefined before there is one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["last_value"] = "last_value"
    is_trained: ClassVar[bool] = False


PLAIN_KINDS = ("mean", "last_value")
"""Baselines that are computed while predicting, and have no files."""

TRAINED_KINDS = tuple(kind for kind in KINDS if kind != "module")
"""Baselines that are trained; a module of the user's own is measured before a run is planned, and is the model."""


def _checked_baseline(value: object) -> object:
    """Take a bare name as a baseline with its defaults, and refuse a name there is none of."""
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, dict | BaseModel):
        raise ValueError("must be the name of a baseline, or a mapping with its kind")  # noqa: TRY004 - told of values
    if isinstance(value, dict) and kind_of(value) not in (*PLAIN_KINDS, *TRAINED_KINDS):
        names = (*PLAIN_KINDS, *TRAINED_KINDS)
        raise ValueError(f"kind: unknown baseline {value.get('kind')!r}; {nearest(kind_of(value), names)}")
    return value


def kind_of(value: object) -> str:
    """Give the kind of a baseline, checked or as it is written in a config."""
    return str(value.get("kind", "") if isinstance(value, dict) else getattr(value, "kind", ""))


def _or_its_name(schema: dict[str, Any]) -> None:
    """Tell editors that a baseline may be its bare name."""
    schema["anyOf"] = [{"oneOf": schema.pop("oneOf")}, {"enum": [*PLAIN_KINDS, *TRAINED_KINDS]}]


Baseline = Annotated[
    Annotated[MeanConfig, Tag("mean")]
    | Annotated[LastValueConfig, Tag("last_value")]
    | Annotated[LstmConfig, Tag("lstm")]
    | Annotated[LstmAttentionConfig, Tag("lstm_attention")]
    | Annotated[BranchLstmConfig, Tag("branch_lstm")]
    | Annotated[TcnAttentionConfig, Tag("tcn_attention")]
    | Annotated[RidgeConfig, Tag("ridge")]
    | Annotated[LightGbmConfig, Tag("lightgbm")],
    Discriminator(kind_of),
    BeforeValidator(_checked_baseline),
    Field(json_schema_extra=_or_its_name),
]
"""Any baseline."""

AnyBaseline: TypeAlias = MeanConfig | LastValueConfig | NetworkConfig


def _checked_seeds(value: object) -> object:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SEEDS):
        return value
    if isinstance(value, list | tuple) and value and all(_is_seed(one) for one in value):
        if len(set(value)) < len(value):
            raise ValueError("each seed must be named once")
        if len(value) <= MOST_SEEDS:
            return tuple(value)
    raise ValueError(f"must be how many seeds (1 to {MOST_SEEDS}), or a list of them")


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


Seeds = Annotated[int | tuple[int, ...] | None, BeforeValidator(_checked_seeds)]


def seed_list(seeds: int | tuple[int, ...] | None, first: int) -> tuple[int, ...]:
    """List the seeds in order; none where there is one model a fold."""
    if seeds is None:
        return ()
    return tuple(range(first, first + seeds)) if isinstance(seeds, int) else tuple(sorted(seeds))


def column_members(seeds: Sequence[int], baselines: Sequence[AnyBaseline]) -> tuple[str, ...]:
    """Name what a prediction file holds beside the predictions: their spread over seeds, each seed, each baseline."""
    of_seeds = ["prediction_std", *(f"seed_{seed}" for seed in seeds)] if len(seeds) > 1 else []
    return (*of_seeds, *sorted(f"baseline_{kind_of(baseline)}" for baseline in baselines))


def refuse_shared_columns(
    seeds: int | tuple[int, ...] | None, first: int, baselines: Sequence[AnyBaseline], targets: Sequence[str]
) -> None:
    """Raise where two baselines are of one kind, or a target's name makes the name of another column."""
    kinds = [kind_of(baseline) for baseline in baselines]
    if len(set(kinds)) < len(kinds):
        raise ValueError("baselines: each kind must be named once")
    members = ("prediction", *column_members(seed_list(seeds, first), baselines))
    names = [member_column(member, target, targets) for member in members for target in targets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"targets: two columns of the predictions would be called {twice[0]!r}; rename a target")
