"""What to ingest, and what each column means."""

from collections import Counter
from typing import Literal

from pydantic import Field, model_validator

from seawall.errors import nearest
from seawall.ingest.cross_section_config import CrossSection
from seawall.ingest.feature_sets.catalogue import SETS
from seawall.ingest.feature_sets.config import NamedSet
from seawall.ingest.strict import Name as Name
from seawall.ingest.strict import Strict as Strict
from seawall.ingest.target_config import ForwardReturn as ForwardReturn
from seawall.ingest.target_config import Target as Target
from seawall.tables.layout import Layout

STAGE_VERSION: int = 2
"""Raised only when the panel store this stage writes changes for the same input."""

RESERVED = ("__id", "__entity", "__time", "adjustment")


class DeclaredBreak(Strict):
    """A known scale break, for example a 2-for-1 split: factor 0.5."""

    entity: Name
    time: str = Field(description="first time on the new scale, written as in the source")
    factor: float = Field(gt=0, description="new price / old price of the same thing")


class Adjustment(Strict):
    """Scale breaks of prices: declared ones, and those no market move can explain."""

    detect: bool = Field(default=False, description="find breaks by the rule of min_ratio")
    # 2.0: exchanges with daily limits allow at most +-50 %, so a whole bar beyond double or half cannot be a trade day
    min_ratio: float = Field(default=2.0, gt=1.0, description="see detect_breaks")
    open: Name = "open"
    high: Name = "high"
    low: Name = "low"
    close: Name = "close"
    declared: tuple[DeclaredBreak, ...] = ()
    column: Name | None = Field(default=None, description="number column with the factors, instead of the rule above")
    column_is: Literal["per_date", "multiplier", "divisor"] | None = Field(
        default=None,
        description="per_date: new price / old price at that row, 1 or missing where nothing changes; cumulative: "
        "adjusted price = price x multiplier, or price / divisor, of which only ratios count",
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the rule reads, or the one with the factors."""
        if self.column is not None:
            return (self.column,)
        return (self.open, self.high, self.low, self.close) if self.detect else ()

    @model_validator(mode="after")
    def _one_way(self) -> "Adjustment":
        if (self.column is None) != (self.column_is is None):
            raise ValueError("column and column_is belong together: per_date, multiplier or divisor")
        if self.column is not None and (self.detect or self.declared):
            raise ValueError("column brings all factors: detect and declared cannot stand beside it")
        return self


class StaticTable(Strict):
    """A second table with one row for each entity."""

    source: str = Field(min_length=1, description="CSV or Parquet file")
    entity: Name | None = Field(default=None, description="its column with the entity; the ingest's when missing")
    columns: tuple[Name, ...] = Field(default=(), description="attributes wanted; all when missing")


class JoinedTable(Strict):
    """Another table, whose columns stand beside the rows of the sources."""

    sources: tuple[str, ...] = Field(min_length=1, description="files, folders or globs")
    columns: tuple[Name, ...] = Field(min_length=1, description="number columns taken from it")
    how: Literal["key", "asof"] = Field(
        default="key", description="key: the same entity and time; asof: the last row published by then"
    )
    lag: str | None = Field(
        default=None, description="asof: from its time to its publication, such as 45d; steps where times are integers"
    )
    lag_periods: int | None = Field(
        default=None, ge=0, description="asof: the same in rows of the entity in the sources, instead of lag"
    )
    tolerance: str | None = Field(
        default=None, description="asof: how old it may get after publication; no limit when missing"
    )
    entity: Name | None = Field(
        default=None, description="its column with the entity; that of the sources when missing"
    )
    time: Name | None = Field(default=None, description="its column with the time; that of the sources when missing")
    time_format: str | None = Field(default=None, description="as for the sources, of its own")
    timezone: str | None = Field(default=None, description="that of the sources when missing")
    layout: Layout = Layout()
    duplicates: Literal["error", "first", "last"] = Field(default="error", description="of its own keys")

    @model_validator(mode="after")
    def _lag_is_declared(self) -> "JoinedTable":
        lags = [value for value in (self.lag, self.lag_periods) if value is not None]
        if self.how == "asof" and len(lags) != 1:
            raise ValueError("asof needs lag or lag_periods, one of them; 0 if it is known at once")
        if self.how == "key" and (lags or self.tolerance is not None):
            raise ValueError("lag and tolerance belong to how: asof")
        return self


class IngestConfig(Strict):
    """The ingest stage."""

    sources: tuple[str, ...] = Field(
        min_length=1, description="files, folders or globs; dataset:NAME for a built-in panel"
    )
    entity: Name
    time: Name
    time_format: str | None = Field(
        default=None,
        description="iso, step, epoch_s, epoch_ms, epoch_us, epoch_ns, excel or a strptime format; else inferred",
    )
    timezone: str | None = Field(default=None, description="zone of times without an offset; UTC when missing")
    layout: Layout = Layout()
    values: tuple[Name, ...] = Field(
        default=(), description="number columns to read; all that SQL, prices or features use"
    )
    prices: tuple[Name, ...] = Field(default=(), description="columns kept as float64 prices")
    derived: dict[Name, str] = Field(
        default_factory=dict, description="helper columns features may build on; not stored"
    )
    features: dict[Name, str] = Field(default_factory=dict, description="name: SQL expression over the entity's rows")
    feature_sets: tuple[NamedSet, ...] = Field(
        default=(), description="named sets: bars_basic, alpha158, or a mapping that names their columns"
    )
    cross_sectional: dict[Name, CrossSection] = Field(
        default_factory=dict, description="name: a feature compared with that of the other names at the same time"
    )
    targets: dict[Name, Target] = Field(default_factory=dict)
    universe: str | None = Field(
        default=None, description="SQL condition: the row may be trained on, predicted and traded"
    )
    drop_rows: dict[Name, str] = Field(default_factory=dict, description="rule name: SQL condition on one row; counted")
    adjustment: Adjustment = Adjustment()
    weights: Name | None = Field(default=None, description="number column: how much a sample counts in training")
    dividends: Name | None = Field(
        default=None, description="number column: cash paid on each share, as it is after a split of the same row"
    )
    splits: Name | None = Field(
        default=None, description="number column: shares that one share becomes at this row; 0 and missing are 1"
    )
    duplicates: Literal["error", "first", "last"] = "error"
    tables: tuple[JoinedTable, ...] = Field(default=(), description="other tables joined to the rows of the sources")
    static: StaticTable | None = Field(default=None, description="static attributes, kept with the entities")
    max_bad_rows: int = Field(default=0, ge=0, description="rows that cannot be parsed and may be left out; counted")
    checkpoint_seconds: float = Field(default=300.0, ge=0, description="seconds between checkpoints of reading")
    # 300: what a kill may cost, as in training; one takes less than a second

    @model_validator(mode="after")
    def _names_agree(self) -> "IngestConfig":
        for name, target in self.targets.items():
            if target.forward_return is not None and target.source not in self.prices:
                raise ValueError(f"targets.{name}: column {target.source!r} is not one of prices {list(self.prices)}")
        if self.entity == self.time or self.entity in self.value_columns:
            raise ValueError(f"the entity column {self.entity!r} cannot be the time or a number as well")
        taken = {name.casefold(): name for name in (*RESERVED, *(f"adj_{price}" for price in self.prices), self.time)}
        for name in (*self.value_columns, *self.derived):
            if name.casefold() in taken:
                other = taken[name.casefold()]
                raise ValueError(f"SQL cannot tell {name!r} from {other!r}, which is used already; rename one of them")
            taken[name.casefold()] = name
        joined = Counter(name for table in self.tables for name in table.columns)
        for name, count in joined.items():
            if count > 1 or name not in self.value_columns:
                what = "in two tables" if count > 1 else "not used: add it to values or prices"
                raise ValueError(f"tables: the column {name!r} is {what}")
        twice = [name for name, count in Counter(self.feature_names).items() if count > 1]
        if twice:
            raise ValueError(f"two features are named {twice[0]!r}; give the feature set a prefix")
        self._check_compared()
        return self

    @model_validator(mode="after")
    def _ways_agree(self) -> "IngestConfig":
        if self.drop_rows and self.layout.wide == "*":
            raise ValueError("drop_rows would judge a row by one field of it where layout.wide is '*'")
        if self.dividends is not None and self.adjustment.column is not None and self.splits is None:
            raise ValueError("dividends beside adjustment.column: name splits too, or they would be earned twice")
        return self

    def _check_compared(self) -> None:
        """Refuse comparisons of what is no feature; a group may also be a static attribute, known later."""
        known = (*self.features, *self.set_names)
        for name, rule in self.cross_sectional.items():
            if rule.feature not in known:
                raise ValueError(f"cross_sectional.{name}: no feature {rule.feature!r}; {nearest(rule.feature, known)}")
            if rule.group is not None and self.static is None and rule.group not in known:
                raise ValueError(f"cross_sectional.{name}: no feature {rule.group!r}; {nearest(rule.group, known)}")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """All features in the order they are stored: expressions, then sets, then what compares names of a date."""
        return (*self.features, *self.set_names, *self.cross_sectional)

    @property
    def set_names(self) -> tuple[str, ...]:
        """Features of the sets."""
        return tuple(name for chosen in self.feature_sets for name in chosen.names)

    @property
    def compares_names(self) -> bool:
        """True where something is computed date by date."""
        return bool(self.cross_sectional) or any(target.market_neutral for target in self.targets.values())

    @property
    def history_periods(self) -> int:
        """Earlier rows of its entity that a row's feature sets and targets may depend on."""
        of_sets = [SETS[chosen.name].history_periods for chosen in self.feature_sets]
        return max([0, *of_sets, *(target.volatility_periods or 0 for target in self.targets.values())])

    @property
    def value_columns(self) -> tuple[str, ...]:
        """Number columns read from the source, in a fixed order."""
        of_sets = [column for chosen in self.feature_sets for column in chosen.roles.values()]
        own = [target.column.name for target in self.targets.values() if target.column is not None]
        roles = self.roles.values()
        return tuple(dict.fromkeys((*self.prices, *self.adjustment.columns, *self.values, *of_sets, *own, *roles)))

    @property
    def roles(self) -> dict[str, str]:
        """Groups of one column, and that column."""
        given = {"weights": self.weights, "dividends": self.dividends, "splits": self.splits}
        return {role: column for role, column in given.items() if column is not None}


def own_columns(config: IngestConfig) -> tuple[str, ...]:
    """List the number columns that come from the sources themselves, not from joined tables."""
    joined = {name for table in config.tables for name in table.columns}
    return tuple(name for name in config.value_columns if name not in joined)
