"""A first estimate of a panel's sizes, from a bounded sample of its sources: what planning before ingest needs."""

from seawall.ingest.config import IngestConfig
from seawall.ingest.lookahead import check_expressions
from seawall.ingest.pieces import rows_beside
from seawall.ingest.recipe import kept_columns
from seawall.ingest.tables import opened_tables
from seawall.stores.shape import ROLE_BYTES, PanelShape
from seawall.tables.sample import TableSample, sample_tables


def probe(config: IngestConfig) -> PanelShape:
    """Estimate the sizes of the panel; check that its columns exist and that no expression looks ahead.

    Rows come from file metadata or bytes per sampled row; entities are those of the sample, doubled where the sample
    does not see all; the longest entity is taken as one row for every estimated date, of which there are no more than
    footers of Parquet files leave room for.

    Raises
    ------
    ConfigError, DataError
        For missing or unreadable sources, unknown columns, and expressions that look ahead.
    """
    check_expressions(config)
    return estimate(config, sample_tables(opened_tables(config)))


def estimate(config: IngestConfig, sample: TableSample) -> PanelShape:
    """Turn a sample into estimated sizes."""
    num_rows = max(1, sample.estimated_rows)
    complete = num_rows <= sample.num_rows * 1.06
    num_entities = max(1, len(sample.entities) * (1 if complete else 2))
    num_dates = min(num_rows, max(1, num_rows * 2 // num_entities))
    if sample.span.num_times is not None and not sample.sampled_bytes:
        num_dates = min(num_dates, sample.span.num_times)
    longest = max(sample.entities.values(), default=1) if complete else num_dates
    return PanelShape(
        num_rows=num_rows,
        num_entities=num_entities,
        num_dates=num_dates,
        num_features=len(config.feature_names),
        num_targets=len(config.targets),
        num_prices=len(config.prices),
        num_values=len(kept_columns(config)),
        role_bytes=sum(ROLE_BYTES[role] for role in config.roles),
        max_rows_per_entity=longest,
        max_rows_per_date=num_entities,
        source_bytes=sample.source_bytes,
        page_bytes=sample.page_bytes,
        rows_around=rows_beside(config),
    )
