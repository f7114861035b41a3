"""Claims of the three children that look for leaks."""

from dataclasses import replace
from typing import Any, NamedTuple

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.ingest.memory import plan as plan_ingest
from seawall.pipeline.config import RunConfig
from seawall.pipeline.stages import required_ingest, required_train
from seawall.stores.shape import PanelShape
from seawall.train.memory import plan_predict
from seawall.units import MIB

BLOCK_ROWS = 65_536

PANEL_FLOOR_BYTES = 58 * MIB
"""Fresh process with seawall, NumPy, Parquet and scipy.special imported."""

KEPT_BYTES = 48 * MIB
"""What a process holds beyond one ingest after three (up to 30 MiB measured on 538,000 rows)."""

INDEX_BYTES = 300
"""An entity: its name as Python text and a few numbers."""

HASH_BYTES = 64
"""A window's two hashes and its row, joined, and sorted copies of one of them."""

MAX_HASHES = 4_000_000
FEWEST_HASHES = 65_536


class _Parts(NamedTuple):
    sources: str = "leak sources"
    panel: str = "leak panel"
    scores: str = "leak scores"


PARTS = _Parts()
"""Names of the children."""


def plan_sources(config: RunConfig, found: dict[str, Any], share_bytes: int) -> StagePlan:
    """Plan ingest, with room for a block of rows beside it."""
    shape, section = PanelShape(**found), required_ingest(config)
    num_columns = len(section.value_columns)
    writer = Claim(
        "rows written again",
        12 * MIB + 3 * 8 * BLOCK_ROWS * (num_columns + 2),
        f"Parquet writer, {BLOCK_ROWS:,} rows x {num_columns + 2} columns x 8 B x 3",
    )
    index = Claim("index", 3 * INDEX_BYTES * shape.num_entities, "names and offsets of three panels")
    kept = Claim("kept from one ingest to the next", KEPT_BYTES, "allocators and SQL engine, after three ingests")
    room_bytes = share_bytes - writer.bytes - index.bytes - kept.bytes
    ingest = plan_ingest(section, shape, room_bytes)
    copies = Claim("copies", 4 * shape.store_bytes, "panel as read, two other futures, their rows", temporary=True)
    return replace(
        ingest,
        stage=PARTS.sources,
        private=(*ingest.private, writer, index, kept),
        disk=(*ingest.disk, copies),
        neutral={**ingest.neutral, "budget_bytes": room_bytes},
    )


def plan_panel(config: RunConfig, found: dict[str, Any], share_bytes: int) -> StagePlan:
    """Plan the passes over the panel; the number of window hashes takes what is left, 65,536 at least."""
    shape, train = PanelShape(**found), required_train(config)
    num_features = len(train.features or ()) or shape.num_features
    widest = max(shape.max_rows_per_entity, shape.max_rows_per_date)
    fixed = (
        Claim("interpreter and libraries", PANEL_FLOOR_BYTES, "Python, NumPy, pyarrow, scipy.special imported"),
        Claim("index", INDEX_BYTES * shape.num_entities + 32 * shape.num_dates, "entities and dates"),
        Claim(
            "one entity, or one date",
            14 * 8 * widest * num_features,
            f"{widest:,} rows x {num_features} features x 8 B x 14",
        ),
        Claim("IC of features", 16 * shape.num_dates * num_features, "dates x features x 2 x 8 B"),
        Claim("sample", 24 * MIB + 4 * 2 * BLOCK_ROWS * num_features, "131,072 rows of single columns, one block"),
    )
    cache = container_claims(dirty_bytes=MIB)
    room_bytes = share_bytes - sum(claim.bytes for claim in (*fixed, *cache))
    max_hashes = max(FEWEST_HASHES, min(MAX_HASHES, room_bytes // HASH_BYTES))
    num_hashes = min(shape.num_rows, max_hashes)
    hashes = Claim("windows", HASH_BYTES * num_hashes, f"{num_hashes:,} windows x {HASH_BYTES} B")
    return StagePlan(stage=PARTS.panel, private=(*fixed, hashes), cache=cache, neutral={"max_hashes": int(max_hashes)})


def plan_scores(config: RunConfig, found: dict[str, Any], share_bytes: int) -> StagePlan:
    """Plan predicting again, with copies of the panel on disk one at a time."""
    shape, train = PanelShape(**found), required_train(config)
    row_bytes = 4 * shape.num_features + 28 * shape.num_targets + 8 * (shape.num_prices + shape.num_values) + 24
    block_rows, kept_bytes = BLOCK_ROWS + shape.max_rows_per_entity, 16 + 8 * len(train.target_names)
    copies = (
        Claim("copied rows", 3 * block_rows * row_bytes, f"{block_rows:,} rows x {row_bytes} B x 3"),
        Claim("order by time", 20 * MIB, "slab of 16 MiB while a copy is indexed"),
        Claim("stored predictions", kept_bytes * shape.num_rows, f"{shape.num_rows:,} rows at most x {kept_bytes} B"),
        Claim("index", 3 * INDEX_BYTES * shape.num_entities, "names and offsets of panel and copy"),
    )
    predict = plan_predict(train, shape, shape.num_rows, share_bytes - sum(claim.bytes for claim in copies))
    disk = (Claim("copy", shape.store_bytes, "one copy of the panel at a time", temporary=True),)
    return replace(predict, stage=PARTS.scores, private=(*predict.private, *copies), disk=disk)
