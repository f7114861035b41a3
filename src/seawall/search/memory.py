"""What a search claims: tables of one chunk, one band of sums, the totals of the grid, and the draws of the tests."""

import math
import sys
from collections.abc import Mapping

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.search.config import SearchConfig, TypeConfig
from seawall.units import MIB, format_bytes, format_seconds

FLOOR_BYTES = 44 * MIB
"""Interpreter with NumPy, pyarrow and the config imported (38-42 MiB measured)."""

TEXT_READER_BYTES = 40 * MIB
"""What pyarrow holds while it parses blocks of 1 MiB (30-36 MiB measured)."""

PACKED_READER_BYTES = 16 * MIB
"""A batch of a Parquet or Arrow file beside the pages of its row group, and one piece being sorted."""

CHUNK_ENTRIES = 2048
WINDOW_BYTES = 8 * MIB
"""Bars of a few entries, from entry to the end of the longest holding, and what is computed on them."""

LEVEL_BYTES = 10
"""A 16-bit key and a net return."""

FINER_LEVEL_BYTES = 12
"""Beside the net return a 16-bit key in the bars and one in the finer bars."""

NUM_STATISTICS = 6
BAND_COMBINATIONS = 16_384
SMALLEST_BAND = 256

GRID_BYTES = 8 * 12
"""Totals of a combination, plateaus, and the columns of the grid file, with what computing them needs."""

CHUNK_TRIALS = 512
SPLIT_BYTES = 24 * MIB
"""1,024 splits x 512 trials x 8 B, for both halves and their comparison, and 12,870 splits x 16 groups."""

SOURCE_DISK_FACTOR = 8
"""Bars and entries as plain arrays, twice while they are sorted, for each byte of a packed table."""

PANEL_ROW_BYTES = 24
"""A row of a panel among the tables: 48 B on the way and as much as plain arrays, by the factor above."""

EVALUATIONS_PER_SECOND = 2e8
BUILDS_PER_SECOND = 2e4


def plan(config: SearchConfig, source_bytes: int, budget_bytes: int) -> StagePlan:
    """Plan the search: the usual band of combinations, or a smaller one where the budget is tight.

    Parameters
    ----------
    source_bytes
        Size of the tables of bars and entries, for the disk; memory does not grow with it.
    budget_bytes
        What the stage may use in all. A plan that does not fit is returned all the same, with the smallest band.
    """
    cache = container_claims()
    kept = _kept_claims(config)
    if config.sample is not None:
        kept += (Claim("sample", 2 * source_bytes, "places and sizes of all entries, twice the size of the tables"),)
    sweep, band = _sweep_claim(config, budget_bytes - sum(claim.bytes for claim in (*kept, *cache)))
    largest = max((_reader_claim(config), sweep, _tests_claim(config)), key=lambda claim: claim.bytes)
    return StagePlan(
        stage="search",
        private=(*kept, largest),
        cache=cache,
        disk=(_disk_claim(config, source_bytes),),
        neutral={"band_combinations": band},
        reads=(_reads_claim(config, source_bytes, band),),
    )


def plan_shard(config: SearchConfig, budget_bytes: int) -> StagePlan:
    """Plan one part of a sweep, which reads what a search has prepared: one chunk of tables, one band of sums."""
    cache = container_claims()
    floor = Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow imported")
    sweep, band = _sweep_claim(config, budget_bytes - floor.bytes - sum(claim.bytes for claim in cache))
    return StagePlan(
        stage="sweep",
        private=(floor, sweep),
        cache=cache,
        disk=(_sums_claim(config),),
        neutral={"band_combinations": band},
    )


def _sweep_claim(config: SearchConfig, room_bytes: int) -> tuple[Claim, int]:
    """Claim one chunk of tables and one band of sums; gives also the band that fits."""
    num_blocks, tables = config.validation.num_blocks, _tables_bytes(config)
    row_bytes = (num_blocks + NUM_STATISTICS) * 8 * 2
    unit = max(_per_take_profit(config, type_config) for type_config in config.types.values())
    band = max(SMALLEST_BAND, min(BAND_COMBINATIONS, (room_bytes - tables) // row_bytes))
    held = max(unit, min(band, max(_searched(config, t) for t in config.types.values())))
    formula = (
        f"tables of {CHUNK_ENTRIES:,} entries ({format_bytes(tables)}), and {held:,} combinations"
        f" x ({num_blocks} blocks + {NUM_STATISTICS}) x 8 B with a checkpoint"
    )
    return Claim("sweep", tables + held * row_bytes, formula), band


def _reads_claim(config: SearchConfig, source_bytes: int, band: int) -> Claim:
    """Bound what is read from disk: each pass over the entries, in order of time, finds every bar cold, and twice.

    What exceeds it tenfold reads in circles.
    """
    num_passes = 10 * len(config.types)
    for type_config in config.types.values():
        bands = math.ceil(_searched(config, type_config) / band)
        num_passes += bands + (config.num_starts + config.validation.num_folds) * (config.max_rounds + 1) * 5
    each = 2 * SOURCE_DISK_FACTOR * source_bytes
    formula = (
        f"{num_passes:,} passes over the entries x 2 x {SOURCE_DISK_FACTOR} x {format_bytes(source_bytes)} of tables"
    )
    return Claim("bars", num_passes * each, formula)


def _reader_claim(config: SearchConfig) -> Claim:
    sources = [str(source) for source in (config.source, config.entries_source, config.detail_bars) if source]
    if all(source.lower().endswith((".parquet", ".arrow", ".feather", ".ipc")) for source in sources):
        return Claim("reader", PACKED_READER_BYTES, "one batch of a packed table, or one piece being sorted")
    return Claim("reader", TEXT_READER_BYTES, "one block of 1 MiB of text, parsed")


def _tables_bytes(config: SearchConfig) -> int:
    num_levels = max(sum(type_config.grid.shape) for type_config in config.types.values())
    level_bytes = LEVEL_BYTES if config.detail_bars is None else FINER_LEVEL_BYTES
    return num_levels * CHUNK_ENTRIES * level_bytes * 2 + WINDOW_BYTES


def _tests_claim(config: SearchConfig) -> Claim:
    checks = config.validation
    draw_bytes = checks.num_draws * (checks.num_blocks + 4 * CHUNK_TRIALS) * 8
    return Claim(
        "tests",
        max(draw_bytes, SPLIT_BYTES),
        f"{checks.num_draws:,} draws x ({checks.num_blocks} blocks + 4 x {CHUNK_TRIALS} trials) x 8 B,"
        f" or {format_bytes(SPLIT_BYTES)} of splits",
    )


def _searched(config: SearchConfig, type_config: TypeConfig) -> int:
    """Count the combinations of the whole grid where it is tried, else of a line."""
    number = type_config.grid.num_combinations
    return number if number <= config.max_combinations and type_config.phase3 == "grid" else 1024


def _per_take_profit(config: SearchConfig, type_config: TypeConfig) -> int:
    a, s, r, h = type_config.grid.shape
    return s * r * h if a * s * r * h <= config.max_combinations and type_config.phase3 == "grid" else 1024


def _num_weight_trials(config: SearchConfig) -> int:
    components, levels = max(1, len(config.entries.scores)), round(1 / config.weights.step)
    sets = min(config.weights.max_sets, math.comb(levels + components - 1, components - 1))
    return sets * len(config.weights.quantiles)


def _kept_claims(config: SearchConfig) -> tuple[Claim, ...]:
    num_blocks = config.validation.num_blocks
    largest = max(_searched(config, t) for t in config.types.values())
    weight_trials = _num_weight_trials(config)
    return (
        Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow imported"),
        Claim("grid", largest * GRID_BYTES, f"{largest:,} combinations x {GRID_BYTES} B"),
        Claim(
            "weights",
            weight_trials * num_blocks * 8,
            f"{weight_trials:,} weights and thresholds x {num_blocks} blocks x 8 B",
        ),
    )


def _sums_claim(config: SearchConfig) -> Claim:
    row_bytes = (config.validation.num_blocks + NUM_STATISTICS) * 8
    sums_bytes = sum(2 * _searched(config, t) * row_bytes for t in config.types.values())
    return Claim("sums", sums_bytes, f"combinations x {row_bytes} B, twice", temporary=True)


def _disk_claim(config: SearchConfig, source_bytes: int) -> Claim:
    row_bytes = (config.validation.num_blocks + NUM_STATISTICS) * 8
    return Claim(
        "bars, entries and sums",
        SOURCE_DISK_FACTOR * source_bytes + _sums_claim(config).bytes,
        f"{SOURCE_DISK_FACTOR} x {format_bytes(source_bytes)} of tables, and combinations x {row_bytes} B, twice",
        temporary=True,
    )


GUESSED_ENTRIES = 1000


def notes(config: SearchConfig, num_entries: Mapping[str, int] | None = None) -> list[str]:
    """Say what the search will do about each grid that is too large, and about how long it takes.

    ``num_entries`` by type; before they are read, times are told for a thousand.
    """
    said = []
    for name, type_config in config.types.items():
        number, longest = type_config.grid.num_combinations, type_config.grid.holds[-1]
        entries = max(1, (num_entries or {}).get(name, GUESSED_ENTRIES))
        if type_config.phase3 == "grid" and number > config.max_combinations:
            per_start = config.combinations_per_start or sys.maxsize
            points = config.num_starts * min(per_start, (config.max_rounds + 1) * 5 * 16)
            exhaustive = number * entries / EVALUATIONS_PER_SECOND
            lines = points * entries / EVALUATIONS_PER_SECOND
            lines += config.num_starts * config.max_rounds * 5 * entries / BUILDS_PER_SECOND
            said.append(
                f"{name}: the grid of {number:,} combinations is larger than max_combinations"
                f" ({config.max_combinations:,}), so it is not tried whole (about {format_seconds(exhaustive)} for"
                f" {entries:,} entries). Line searches from {config.num_starts} starts look at about"
                f" {points:,} of them, in about {format_seconds(lines)}; holdings up to {longest:,} periods."
            )
        if type_config.tune_on == "opportunities":
            said.append(
                f"{name}: tuned on opportunities only, which are known with hindsight: what it promises is not what all"
                " signals earn."
            )
    return said
