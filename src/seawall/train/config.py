"""What training may choose: the target, the folds, the model and how long it learns."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from seawall.errors import nearest
from seawall.losses.config import DATE_LOSSES, HuberConfig, LossConfig, MseConfig, SumConfig
from seawall.models.config import KINDS, LstmAttentionConfig, ModelConfig
from seawall.train.folds_config import FoldsConfig, Length
from seawall.train.members_config import Baseline, Seeds, refuse_shared_columns, seed_list
from seawall.train.presets import with_preset
from seawall.train.schedule_config import ConstantConfig, ScheduleConfig
from seawall.train.sequence_config import SequenceConfig

FOLDS_VERSION = 3
"""Raised when folds.json changes for the same config and panel."""

FIT_VERSION = 1
"""Raised when the files of a model change for the same config, panel and fold."""

PREDICT_VERSION = 1
"""Raised when predictions change for the same model and panel."""

NOT_LEARNT = ("checkpoint_seconds", "report_minutes", "trackers", "preset", "baselines")
"""Fields that change how training is watched and kept, and not what is learnt: they are no part of its key."""

ADDED_LATER = (
    "weighted",
    "targets",
    "watch_target",
    "schedule",
    "accumulate_batches",
    "precision",
    "ema_decay",
    "warm_start",
    "on_non_finite",
    "seed_per_fold",
    "sequence",
    "ranks",
    "seeds",
    "entity_weights",
)
"""Fields that models of earlier releases do not know of."""


def _is_by_date(loss: object) -> bool:
    """Tell whether a loss, checked or as it is written in a config, compares the names of a date."""
    if not isinstance(loss, dict):
        return bool(getattr(loss, "by_date", False))
    terms = [loss, *(loss["terms"] if isinstance(loss.get("terms"), list | tuple) else ())]
    return any(_is_date_term(term) for term in terms)


def _is_date_term(term: object) -> bool:
    if isinstance(term, dict):
        return term.get("kind") in DATE_LOSSES or term.get("ic_goal") is not None
    return bool(getattr(term, "by_date", False)) or getattr(term, "ic_goal", None) is not None


def _or_its_name(schema: dict[str, Any]) -> None:
    """Tell editors that a model may be its bare name."""
    schema["anyOf"] = [{"oneOf": schema.pop("oneOf")}, {"enum": list(KINDS)}]


def _target_or_targets(schema: dict[str, Any]) -> None:
    """Tell editors that one of both is enough."""
    schema["required"] = [name for name in schema["required"] if name != "target"]
    schema["anyOf"] = [{"required": ["target"]}, {"required": ["targets"]}]


class TrainConfig(BaseModel):
    """Training and prediction of all folds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, json_schema_extra=_target_or_targets)

    # None: the defaults.
    preset: Literal["low_memory", "fast", "balanced"] | None = Field(
        default=None, description="sets several of these fields at once; those named in the config win"
    )
    target: str = Field(min_length=1, description="target column that is predicted; the first of targets where missing")
    # Empty: one target. Several share one network, which is cheaper than a model each and lets them help one another.
    targets: tuple[str, ...] = Field(
        default=(), max_length=64, description="target columns that are predicted together, instead of target"
    )
    # None: the first, which is also what later stages use unless told otherwise.
    watch_target: str | None = Field(
        default=None, description="of several targets, the one whose valid score decides when to stop; the first"
    )
    features: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="feature columns; all where missing"
    )
    # 20: a trading month.
    lookback_periods: int = Field(default=20, ge=1, description="rows of an entity a sample sees")
    folds: FoldsConfig
    model: ModelConfig = Field(default=LstmAttentionConfig(), json_schema_extra=_or_its_name)
    # The defaults mean nothing to a model of one value a sample.
    sequence: SequenceConfig = Field(default=SequenceConfig())
    # Huber: daily returns have tails that squared error chases.
    loss: LossConfig = Field(default=HuberConfig())
    # True: weights are in a panel because somebody declared them.
    weighted: bool = Field(default=True, description="the loss counts samples by the panel's weights, if it has some")
    # none: returns of all names have much the same scale; flows of rivers lie orders of magnitude apart.
    entity_weights: Literal["none", "inverse_variance"] = Field(
        default="none", description="inverse_variance counts a sample less, the more its entity's targets vary in train"
    )
    # 512: fastest on one core (105,000 samples/s at 20 x 12 and hidden 32); from 1024 on a step outgrows the cache.
    batch_size: int = Field(default=512, ge=1, description="samples of a training step")
    # shuffle: global and fastest while the features fit the page cache; blocks where they do not: random windows of a
    # store larger than memory read the disk 50 times over. by_time: for losses that compare the names of one date.
    order: Literal["auto", "shuffle", "blocks", "by_time"] = Field(
        default="shuffle",
        description="how train samples are ordered: blocks reads tiles into a pool, by_time takes one date a step; "
        "auto is shuffle where the rows fit the memory at hand, else blocks, chosen once for a run folder",
    )
    # 64MiB: 377 of 512 samples of a batch come from different entities, 452 in a global shuffle (2,000 entities).
    pool: str = Field(
        default="64MiB",
        pattern=r"^[1-9][0-9]*(\.[0-9]+)? ?[KMG]iB$",
        description="size of a pool of the orders blocks and by_time; two are held",
    )
    # 1024: large enough to be fast without gradients. Fixed, because it decides how predictions are rounded.
    predict_batch_size: int = Field(default=1024, ge=1, description="samples of a step of validation and prediction")
    # 20 epochs, patience 4: small signals are learnt within a few epochs; what follows is noise.
    max_epochs: int = Field(default=20, ge=1, description="passes over the train samples at most")
    patience: int = Field(default=4, ge=1, description="epochs without a better valid score before training stops")
    # valid_loss: defined for every target; valid_ic is closer to what a ranking strategy earns, but noisier.
    early_stopping: Literal[
        "valid_loss",
        "valid_ic",
        "valid_rank_ic",
        "valid_mse",
        "valid_mae",
        "valid_r2",
        "valid_pearson",
        "valid_ccc",
    ] = Field(
        default="valid_loss", description="score that is watched, of the watched target; errors are in scaled units"
    )
    # 1e-3: the usual step of Adam for recurrent nets of this size.
    learning_rate: float = Field(default=1e-3, gt=0, description="of AdamW")
    # constant: what a few epochs on weak signals need least is a rate to tune; cosine where training is long.
    schedule: ScheduleConfig = Field(default=ConstantConfig())
    # 1e-4: keeps weights of useless features small.
    weight_decay: float = Field(default=1e-4, ge=0, description="of AdamW, decoupled")
    # 1.0: never reached by a healthy step here, stops the rare exploding one.
    gradient_clip: float = Field(default=1.0, gt=0, description="largest norm of all gradients together")
    # 1: each batch is a step. More make a step of several, where one is as large as memory allows.
    accumulate_batches: int = Field(default=1, ge=1, description="batches whose gradients make one step")
    # float32: 16 bits are faster on GPUs that have them, and slower on most processors.
    precision: Literal["float32", "bf16", "fp16"] = Field(
        default="float32", description="of the network while it learns; losses, metrics and predictions stay float32"
    )
    # None: the best epoch is chosen anyway; an average helps where epochs differ by noise.
    ema_decay: float | None = Field(
        default=None, gt=0, lt=1, description="judge and keep a moving average of the weights, of so much memory a step"
    )
    # False: each fold stands for itself. True is cheaper where folds overlap much, and joins their errors.
    warm_start: bool = Field(default=False, description="start from the model of the fold before, which must be done")
    # stop: a loss that is not finite is a fault to be found; skip where one wild batch must not end a night's run.
    on_non_finite: Literal["stop", "skip"] = Field(
        default="stop",
        description="loss or gradient that is not finite: stop before the step with the batch saved, or skip and count",
    )
    # 5: keeps every plausible value, stops a bad tick from saturating the net.
    feature_clip_sigmas: float = Field(default=5.0, gt=0, description="features are clipped at this many deviations")
    # None: the loss is robust already and a real +60 % is a fact.
    target_clip_sigmas: float | None = Field(
        default=None, gt=0, description="scaled targets are clipped while learning"
    )
    seed: int = Field(default=0, ge=0, lt=2**63, description="of weights, dropout and order")
    # None: one model a fold. Several tell luck from learning, at the price of training as often.
    seeds: Seeds = Field(
        default=None,
        description="several models a fold that differ by their seed alone: how many, from seed on, or which",
    )
    # Empty: nothing is trained that nobody asked for.
    baselines: tuple[Baseline, ...] = Field(
        default=(),
        max_length=8,
        description="models to beat, judged beside: mean, last_value, ridge or any other model",
    )
    # False: folds differ by their data alone.
    seed_per_fold: bool = Field(default=False, description="each fold draws from a seed of its own, made from seed")
    # 1: small steps lose more to waking threads than they gain, and folds run beside each other on the other cores.
    threads: int = Field(
        default=1, ge=1, le=1024, description="torch threads; part of the result, not only of its speed"
    )
    # 1: processes of a small model wait longer than they learn; folds side by side use the cores better.
    ranks: int = Field(
        default=1, ge=1, le=64, description="processes that train one fold together, each on a part of every batch"
    )
    # 300: at most five minutes of work are repeated after a kill; a checkpoint takes 25 ms.
    checkpoint_seconds: float = Field(default=300.0, ge=0, description="time between checkpoints within an epoch")
    # 30: a long epoch is judged while it can still be stopped; a validation takes a few percent of such an epoch.
    report_minutes: float = Field(
        default=30.0, ge=0, description="time between exact reports on valid within an epoch; 0: at its end only"
    )
    # Empty: log.jsonl has every report in any case.
    trackers: tuple[Literal["tensorboard", "mlflow"], ...] = Field(
        default=(), description="trackers that get every report too, as files under trackers/ of the run folder"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto takes a GPU where there is one")

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, values: object) -> object:
        """Fill in what a preset says, the first target, and the one order that a loss of whole dates can have."""
        if not isinstance(values, dict):
            return values
        filled, targets = with_preset(values), values.get("targets")
        if "target" not in filled and isinstance(targets, list | tuple) and targets:
            filled["target"] = targets[0]
        if filled.get("order", "auto") == "auto" and _is_by_date(filled.get("loss")):
            filled["order"] = "by_time"
        return filled

    @model_validator(mode="after")
    def _dates_stay_whole(self) -> "TrainConfig":
        if self.loss.by_date and self.order != "by_time":
            raise ValueError(
                f"order: the loss {self.loss.kind} compares the names of one date, so each step must be one: "
                f"set order: by_time or auto, not {self.order}"
            )
        terms = self.loss.terms if isinstance(self.loss, SumConfig) else ()
        for number, term in enumerate(terms):
            if term.target is not None and term.target not in self.target_names:
                near = nearest(term.target, self.target_names)
                raise ValueError(f"loss.terms.{number}.target: {term.target!r} is not predicted; {near}")
        if self.warm_start and self.folds.kind == "combinatorial":
            raise ValueError("warm_start: combinatorial folds are not in order of time; the fold before saw this test")
        return self

    @model_validator(mode="after")
    def _targets_agree(self) -> "TrainConfig":
        names = self.target_names
        if self.target != names[0]:
            raise ValueError("target: give target or targets, not both")
        if len(set(names)) < len(names) or "" in names:
            raise ValueError("targets: each must be named once")
        if self.watched not in names:
            raise ValueError(f"watch_target: {self.watched!r} is not predicted; {nearest(self.watched, names)}")
        refuse_shared_columns(self.seeds, self.seed, self.baselines, names)
        return self

    @model_validator(mode="after")
    def _sequence_fits(self) -> "TrainConfig":
        if not self.is_sequence:
            if self.sequence != SequenceConfig():
                raise ValueError("sequence: only a model with output: sequence predicts every step; set model.output")
            return self
        if self.model.is_baseline:
            raise ValueError(f"model.output: {self.model.kind_name} predicts one value a sample; set output: last")
        if self.loss.by_date:
            what = f"the loss {self.loss.kind} compares the names of one date"
            raise ValueError(f"model.output: {what}, and a sequence has many dates; set output: last, or another loss")
        if self.sequence.stride_periods > self.lookback_periods:
            raise ValueError("sequence.stride_periods: more than lookback_periods would leave rows between samples out")
        return self

    @model_validator(mode="after")
    def _ranks_can_share(self) -> "TrainConfig":
        if self.ranks == 1:
            return self
        if self.model.is_baseline:
            raise ValueError(f"ranks: {self.model.kind_name} is solved for by one process, not by {self.ranks}")
        if self.order != "by_time" and self.batch_size % self.ranks:
            nearest = max(1, round(self.batch_size / self.ranks)) * self.ranks
            raise ValueError(f"batch_size: must divide evenly among {self.ranks} ranks: set it to {nearest}")
        return self

    def of_any_ranks(self) -> "TrainConfig":
        """Leave out the number of ranks where it changes no more than rounding: steps by date are one date a rank."""
        return self if self.order == "by_time" else self.model_copy(update={"ranks": 1})

    @property
    def target_names(self) -> tuple[str, ...]:
        """All targets, in order of the model's outputs."""
        return self.targets or (self.target,)

    @property
    def is_sequence(self) -> bool:
        """Whether every step of a lookback is learnt from and predicted."""
        return self.model.output != "last"

    @property
    def watched(self) -> str:
        """The target whose score on valid decides when to stop."""
        return self.watch_target or self.target

    def semantic(self) -> dict[str, Any]:
        """Give the choices that decide what a model is: all but how often it is saved and judged.

        What was added later is named only where it is not the default, so that models made before stay valid.
        """
        fields = type(self).model_fields
        unsaid = {name for name in ADDED_LATER if getattr(self, name) == fields[name].get_default()}
        values = self.model_dump(mode="json", exclude={*NOT_LEARNT, *unsaid})
        if "sequence" in values:
            del values["sequence"]["reduce"]  # of what is predicted, not of what is learnt
        if self.seeds is not None:
            values |= {"seeds": list(seed_list(self.seeds, self.seed))}
            del values["seed"]
        return values | {"model": self.model.model_dump(mode="json", exclude=self.model.unsaid())}


__all__ = [
    "FIT_VERSION",
    "FOLDS_VERSION",
    "PREDICT_VERSION",
    "FoldsConfig",
    "HuberConfig",
    "Length",
    "LossConfig",
    "LstmAttentionConfig",
    "ModelConfig",
    "MseConfig",
    "TrainConfig",
]
