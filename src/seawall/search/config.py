"""What a trade-parameter search may choose. Money has no hidden defaults: every fee and slippage must be written.

Distances are basis points of the entry price (100 bps = 1 %), holding is counted in bars.
"""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

STAGE_VERSION: int = 2
"""Raised when what the stage writes changes for the same inputs."""

MAX_HOLDING_PERIODS = 16_000
"""A key of the exit tables is 16 bits: 14 for the bar, 2 for the phase inside it."""

NUM_STARTS = 4
"""Phase-2 best and its next three."""

Bps = Annotated[float, Field(ge=0, lt=100_000)]
Distance = Annotated[float, Field(gt=0, lt=100_000)]
Name = Annotated[str, Field(min_length=1, max_length=10_000)]
TypeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BarsConfig(_Frozen):
    """Where bars are in their table, and what to do with impossible ones."""

    entity: Name = Field(default="entity", description="column that names the instrument")
    time: Name = Field(default="time", description="column with the time a bar opens")
    time_format: Name | None = Field(default=None, description="strptime format, iso or step; inferred where missing")
    open: Name = Field(default="open", description="price column")
    high: Name = Field(default="high", description="price column")
    low: Name = Field(default="low", description="price column")
    close: Name = Field(default="close", description="price column")
    funding: Name | None = Field(
        default=None, description="column with the rate a long position pays at a bar's open, as a fraction"
    )
    period: int | None = Field(
        default=None,
        gt=0,
        description="length of a bar, in seconds (in steps for integer times); the most frequent where missing",
    )
    # time: a holding limit is a promise about the clock, so a missing bar must not lengthen it
    holding: Literal["time", "bars"] = Field(
        default="time", description="a holding limit counts periods of the clock, or the bars that are there"
    )
    # error: a bar nobody could have traded must be looked at once, not passed over in silence
    impossible: Literal["error", "drop"] = Field(
        default="error", description="bars with high < low or a price not above zero: refuse, or drop and count them"
    )
    outside_range: Literal["error", "widen"] = Field(
        default="error", description="open or close outside low..high: refuse, or widen the range to hold it and count"
    )


class SignalConfig(_Frozen):
    """Entries from a rule on closes, for people without a model. A bar's signal uses bars up to that bar."""

    kind: Literal["momentum", "mean_reversion", "breakout"] = Field(
        description="momentum: return over the lookback; mean_reversion: distance from its mean, in standard"
        " deviations; breakout: close beyond the range of the lookback"
    )
    lookback_periods: int = Field(ge=2, le=10_000, description="bars the rule sees")
    threshold: float = Field(gt=0, description="least size: bps of return, standard deviations, bps beyond the range")
    type: TypeName = Field(description="signal type of the entries it makes")
    every_periods: int = Field(default=1, ge=1, description="least bars between two entries of an entity")
    sides: Literal["both", "long", "short"] = Field(default="both", description="sides it may take")


class EntriesConfig(_Frozen):
    """Where entries come from: a table, the predictions of the run, or built-in signals."""

    entity: Name = Field(default="entity", description="column that names the instrument")
    time: Name = Field(default="time", description="column with the time")
    time_format: Name | None = Field(default=None, description="strptime format, iso or step; inferred where missing")
    # signal: the safe reading; a fill at the open of the bar that made the signal would look ahead
    time_is: Literal["signal", "fill"] = Field(
        default="signal",
        description="signal: time of the bar whose close decides, filled at the next open; fill: the bar filled at",
    )
    latency_periods: int = Field(default=0, ge=0, le=1000, description="bars from signal to fill beyond the next one")
    side: Name | None = Field(default="side", description="column with 1 (long) or -1 (short); null: all are long")
    type: Name | None = Field(default="type", description="column with the signal type; null: all are of the only type")
    scores: tuple[Name, ...] = Field(default=(), max_length=32, description="columns with score components")
    # error: entries of an unknown instrument mean that the two tables do not belong together
    outside: Literal["error", "drop"] = Field(
        default="error", description="entries of unknown entities or before the first bar: refuse, or drop and count"
    )
    signals: tuple[SignalConfig, ...] = Field(default=(), description="built-in rules, in place of a table")


class CostsConfig(_Frozen):
    """What a trade pays, in 1/10,000 of the notional at entry. Nothing here has a default but what may be absent."""

    taker_fee_bps: Bps = Field(description="fee of market and stop orders: entry, stop, trail, time")
    maker_fee_bps: Bps = Field(description="fee of resting orders: take-profit")
    entry_slippage_bps: Bps = Field(description="added to the open that an entry is filled at")
    stop_slippage_bps: Bps = Field(description="paid at stops, trails and liquidations")
    market_slippage_bps: Bps = Field(description="paid at time exits")
    # level: the conservative choice, a resting order fills at its price
    take_profit_gap: Literal["level", "open"] = Field(
        default="level", description="a take-profit that the bar opens beyond is filled at its level, or at the open"
    )
    penetration_bps: Bps = Field(
        default=0.0, description="how far a bar must trade beyond a take-profit before it counts as filled"
    )
    # None: no borrowed money, no liquidation
    leverage: float | None = Field(default=None, ge=1, le=1000, description="notional over margin")
    maintenance_margin: float = Field(
        default=0.0, ge=0, lt=1, description="fraction of notional at which a leveraged position is liquidated"
    )

    @model_validator(mode="after")
    def _liquidation_is_below_entry(self) -> "CostsConfig":
        if self.leverage is not None and 1 / self.leverage <= self.maintenance_margin:
            raise ValueError("maintenance_margin must be below 1 / leverage, or a position is liquidated as it opens")
        return self


class Levels(_Frozen):
    """Equally or geometrically spaced levels from ``start`` to ``stop``, both included."""

    start: Distance
    stop: Distance
    num: int = Field(ge=1, le=10_000)
    # geometric: doubling a stop matters as much at 50 bps as at 500
    spacing: Literal["geometric", "linear"] = "geometric"

    def values(self) -> tuple[float, ...]:
        """List the levels."""
        if self.num == 1:
            return (self.start,)
        steps = [i / (self.num - 1) for i in range(self.num)]
        if self.spacing == "linear":
            return tuple(self.start + (self.stop - self.start) * x for x in steps)
        return tuple(self.start * (self.stop / self.start) ** x for x in steps)


LevelList = Annotated[tuple[Distance | None, ...], Field(min_length=1, max_length=10_000)]


def listed(levels: Levels | tuple[float | None, ...]) -> tuple[float | None, ...]:
    """List levels in ascending order, off (None) last; doubles are taken once."""
    values = levels.values() if isinstance(levels, Levels) else levels
    known = sorted({value for value in values if value is not None})
    return (*known, None) if None in values else tuple(known)


class TrailConfig(_Frozen):
    """Trailing stops to try: every activation with every distance, and off as a level of its own."""

    distance_bps: Levels | tuple[Distance, ...] = Field(default=(), description="below the peak of earlier bars")
    # 0: armed from entry
    activation_bps: tuple[Bps, ...] = Field(
        default=(0.0,), min_length=1, max_length=1000, description="profit of the peak that arms the trail; 0: at once"
    )
    include_off: bool = Field(default=True, description="also try no trailing stop")

    @model_validator(mode="after")
    def _has_a_level(self) -> "TrailConfig":
        if len(listed(self.distance_bps)) * len(self.activation_bps) > 10_000:
            raise ValueError("more than 10,000 pairs of activation_bps and distance_bps")
        if not self.include_off and not listed(self.distance_bps):
            raise ValueError("needs at least one distance_bps, or include_off: true")
        return self

    def pairs(self) -> tuple[tuple[float, float] | None, ...]:
        """List (activation, distance) pairs: off first, then by activation, then by distance."""
        distances = [value for value in listed(self.distance_bps) if value is not None]
        armed = [(act, distance) for act in sorted(set(self.activation_bps)) for distance in distances]
        return (None, *armed) if self.include_off else tuple(armed)


class GridConfig(_Frozen):
    """Every combination of these levels is tried. null is off."""

    take_profit_bps: Levels | LevelList = Field(description="distance of the take-profit from the entry price")
    stop_loss_bps: Levels | LevelList = Field(description="distance of the stop-loss from the entry price")
    trail: TrailConfig = TrailConfig()
    holding_periods: tuple[Annotated[int, Field(ge=1, le=MAX_HOLDING_PERIODS)], ...] = Field(
        min_length=1, max_length=1000, description="time exits, in periods of a bar"
    )

    @property
    def holds(self) -> tuple[int, ...]:
        """Holding limits in ascending order."""
        return tuple(sorted(set(self.holding_periods)))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Levels of take-profit, stop-loss, trail and holding."""
        return (
            len(listed(self.take_profit_bps)),
            len(listed(self.stop_loss_bps)),
            len(self.trail.pairs()),
            len(self.holds),
        )

    @property
    def num_combinations(self) -> int:
        """Size of the whole grid."""
        return math.prod(self.shape)


class WeightsConfig(_Frozen):
    """Phase 2: weights of the score components and thresholds of the score."""

    # 0.25: 5 levels a component; 3 components give 15 sets
    step: float = Field(default=0.25, gt=0, le=1, description="step of the weights, which sum to 1")
    # 0 keeps every entry; the others keep the better half, third, ... of them
    quantiles: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        default=(0.0, 0.25, 0.5, 0.75, 0.9), min_length=1, max_length=200, description="thresholds, as score quantiles"
    )
    max_sets: int = Field(default=2000, ge=1, le=100_000, description="most weight sets")


class PredictionRule(_Frozen):
    """Which predictions of the run become entries; the score is the prediction, times -1 for short."""

    # None: the first of several targets.
    target: str | None = Field(
        default=None, description="of several targets, the one whose predictions enter; the first where missing"
    )
    long_quantile: float | None = Field(
        default=None, gt=0.5, lt=1, description="predictions at or above this quantile of their date become long"
    )
    short_quantile: float | None = Field(
        default=None, gt=0, lt=0.5, description="predictions at or below this quantile of their date become short"
    )
    long_threshold: float | None = Field(default=None, description="predictions at or above it become long")
    short_threshold: float | None = Field(default=None, description="predictions at or below it become short")

    @model_validator(mode="after")
    def _takes_something(self) -> "PredictionRule":
        if all(value is None for value in self.model_dump(exclude={"target"}).values()):
            raise ValueError("needs a quantile or a threshold for at least one side")
        return self


class TypeConfig(_Frozen):
    """One signal type: its grid and what Phase 3 does."""

    grid: GridConfig
    predictions: PredictionRule | None = Field(default=None, description="entries from the predictions of the run")
    # grid: exhaustive, then refined off the grid; skip: keep the parameters of Phase 2
    phase3: Literal["grid", "skip"] = Field(default="grid", description="search exits, or keep those of Phase 2")
    opportunity_bps: Bps = Field(
        description="an entry whose best possible exit after costs exceeds this is an opportunity (a denominator only)"
    )
    capture_share: float = Field(
        default=0.0, ge=0, lt=1, description="an opportunity is captured if it nets more than this share of its ideal"
    )
    # all: what was tradable; opportunities: hindsight, allowed only to show what it does to honesty
    tune_on: Literal["all", "opportunities"] = Field(
        default="all", description="entries that decide; opportunities is hindsight and says so"
    )


class ValidationConfig(_Frozen):
    """Phase 4: what is held out, how time is cut, how often it is drawn again."""

    # 0.2: a fifth of the time nobody looked at
    holdout_share: float = Field(default=0.2, ge=0, le=0.5, description="last share of the time, untouched until done")
    # 64: enough draws of time for a bootstrap, long enough blocks to hold a trade
    num_blocks: int = Field(default=64, ge=16, le=1024, multiple_of=16, description="equal spans of time for sums")
    num_folds: int = Field(default=8, ge=2, le=64, description="anchored walk-forward steps")
    num_draws: int = Field(default=1000, ge=100, le=20_000, description="bootstrap draws")
    mean_block: float = Field(default=2.0, ge=1, description="mean length of a bootstrap run, in blocks")
    seed: int = Field(default=7, ge=0, description="of draws and samples")
    max_reality_p: float = Field(default=0.05, gt=0, lt=1, description="gate: reality check at or below")
    max_loss_probability: float = Field(default=0.25, ge=0, le=1, description="gate: P(out-of-sample < 0) at or below")


class ReplayConfig(_Frozen):
    """Portfolio replay of the best combinations with a capital limit."""

    num_slots: int = Field(default=5, ge=1, le=10_000, description="positions at once; each gets equity / num_slots")
    # 20: pure Python, 0.6 ms per combination and 1,500 trades
    top: int = Field(default=20, ge=1, le=1000, description="best combinations of the grid that are replayed")


class SampleConfig(_Frozen):
    """Look at some of the entries only; the winner is always evaluated exactly on all."""

    size: int = Field(ge=10, description="entries drawn per type")
    design: Literal["simple", "stratified", "auto"] = Field(
        default="auto", description="simple, stratified by entity, or what the rule for heavy tails picks"
    )


class SearchConfig(_Frozen):
    """A search for trade parameters."""

    source: Path | str | None = Field(default=None, description="bars: file, folder or glob; the panel where missing")
    entries_source: Path | str | None = Field(
        default=None, description="entries: file, folder or glob; predictions of the run or signals where missing"
    )
    detail_bars: Path | str | None = Field(
        default=None,
        description="finer bars with the columns of bars: file, folder or glob; they tell what came first inside a bar"
        " that holds stop and take-profit",
    )
    bars: BarsConfig = BarsConfig()
    entries: EntriesConfig = EntriesConfig()
    costs: CostsConfig
    types: dict[TypeName, TypeConfig] = Field(min_length=1, max_length=32, description="signal types by name")
    weights: WeightsConfig = WeightsConfig()
    validation: ValidationConfig = ValidationConfig()
    replay: ReplayConfig = ReplayConfig()
    sample: SampleConfig | None = None
    # 4: Phase-2 best and its next three
    num_starts: int = Field(default=NUM_STARTS, ge=1, le=64, description="starts of the coordinate refinement")
    max_rounds: int = Field(default=3, ge=0, le=100, description="rounds over all coordinates per start")
    combinations_per_start: int | None = Field(
        default=None, ge=1, description="most combinations a start tries; null: all of its lines"
    )
    max_combinations: int = Field(
        default=1_000_000, ge=1, le=100_000_000, description="largest grid tried whole; beyond it, line searches"
    )
    # 5: at most five seconds of work are repeated after a kill
    checkpoint_seconds: float = Field(default=5.0, ge=0, description="seconds between checkpoints; 0: every chunk")

    @field_validator("types")
    @classmethod
    def _type_names_differ(cls, value: dict[str, TypeConfig]) -> dict[str, TypeConfig]:
        # Compared without case: two folders that differ only in case are one folder on some file systems.
        names = [name.casefold() for name in value]
        if len(set(names)) < len(names):
            raise ValueError("two types may not share a name")
        return value

    @model_validator(mode="after")
    def _types_are_known(self) -> "SearchConfig":
        for signal in self.entries.signals:
            if signal.type not in self.types:
                raise ValueError(f"entries.signals: type {signal.type!r} has no section in types")
        if self.entries.type is None and len(self.types) > 1 and not self.entries.signals:
            raise ValueError("entries.type: null needs exactly one type")
        return self
