"""How one row lies in a spill file: which columns keep float64, and which are features as they are and need float32."""

from dataclasses import dataclass

from seawall.ingest.config import IngestConfig
from seawall.ingest.recipe import kept_columns, plain_features


@dataclass(frozen=True, slots=True)
class RecordLayout:
    """Columns of a row between the two passes.

    A column that is stored as a feature unchanged, and that nothing else reads, is cast once, when it is read: half the
    bytes for most of a table. Its missing, infinite and lossy values are counted before the cast.
    """

    wide: tuple[str, ...]
    """float64: prices, and all that SQL or the adjustment rule reads."""
    narrow: tuple[str, ...]
    """float32: features as they are."""
    plain: dict[str, str]
    """Feature name: the column it is, wide or narrow."""
    computed: dict[str, str]
    """Feature name: SQL expression."""

    @property
    def record_bytes(self) -> int:
        """Bytes of a row: entity code, time, values."""
        return 4 + 8 + 8 * len(self.wide) + 4 * len(self.narrow)


def record_layout(config: IngestConfig) -> RecordLayout:
    """Sort the number columns of a config by what reads them."""
    columns, plain = config.value_columns, plain_features(config)
    computed = {name: text for name, text in config.features.items() if name not in plain}
    whole = {*config.prices, *config.adjustment.columns, *kept_columns(config)}
    narrow = tuple(
        name
        for name in columns
        if config.duplicates == "error"  # with another policy the counts would hold rows that are left out later
        and not config.layout.has_fields  # and here they would hold the other fields of a row as missing
        and name in plain.values()
        and name not in whole
    )
    return RecordLayout(tuple(name for name in columns if name not in narrow), narrow, plain, computed)


def uses_sql(config: IngestConfig) -> bool:
    """Tell whether a config has any expression but columns as they are: only then is DuckDB loaded."""
    own = any(target.expression is not None for target in config.targets.values())
    computed = len(config.features) > len(plain_features(config))
    return own or computed or bool(config.derived or config.universe or config.drop_rows)


def whole_layout(config: IngestConfig) -> RecordLayout:
    """Keep every column as float64, for rows that come from a panel and not from a spill file."""
    plain = plain_features(config)
    computed = {name: text for name, text in config.features.items() if name not in plain}
    return RecordLayout(config.value_columns, (), plain, computed)
