"""What a search claims: tables of one chunk, one band of sums, the totals of the grid, and the draws of the tests."""

import math

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.search.config import SearchConfig, TypeConfig
from seawall.units import MIB, format_bytes, format_seconds

FLOOR_BYTES = 46 * MIB
"""Interpreter with NumPy and pyarrow imported."""

PARSER_BYTES = 26 * MIB
"""One block of a table: a row group, or 1 MiB of CSV."""

CHUNK_ENTRIES = 2048
WINDOW_BYTES = 8 * MIB
"""Bars of a few entries, from entry to the end of the longest holding, and what is computed on them."""

LEVEL_BYTES = 10
"""A 16-bit key and a net return."""

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
    fixed, cache = _fixed_claims(config), container_claims()
    row_bytes = (config.validation.num_blocks + NUM_STATISTICS) * 8 * 2
    room_bytes = budget_bytes - sum(claim.bytes for claim in fixed + cache)
    unit = max(_per_take_profit(type_config) for type_config in config.types.values())
    band = max(SMALLEST_BAND, min(BAND_COMBINATIONS, room_bytes // row_bytes))
    held = max(unit, min(band, max(_searched(config, t) for t in config.types.values())))
    formula = (
        f"{held:,} combinations x ({config.validation.num_blocks} blocks + {NUM_STATISTICS}) x 8 B, and a checkpoint"
    )
    return StagePlan(
        stage="search",
        private=(*fixed, Claim("band of sums", held * row_bytes, formula)),
        cache=cache,
        disk=(_disk_claim(config, source_bytes),),
        neutral={"band_combinations": band},
    )


def _searched(config: SearchConfig, type_config: TypeConfig) -> int:
    """Count the combinations of the whole grid where it is tried, else of a line."""
    number = type_config.grid.num_combinations
    return number if number <= config.max_combinations and type_config.phase3 == "grid" else 1024


def _per_take_profit(type_config: TypeConfig) -> int:
    a, s, r, h = type_config.grid.shape
    return s * r * h if a * s * r * h <= 10**6 else 1024


def _num_weight_trials(config: SearchConfig) -> int:
    components, levels = max(1, len(config.entries.scores)), round(1 / config.weights.step)
    sets = min(config.weights.max_sets, math.comb(levels + components - 1, components - 1))
    return sets * len(config.weights.quantiles)


def _fixed_claims(config: SearchConfig) -> tuple[Claim, ...]:
    checks, num_levels = config.validation, max(sum(t.grid.shape) for t in config.types.values())
    largest = max(_searched(config, t) for t in config.types.values())
    weight_trials = _num_weight_trials(config)
    draw_bytes = checks.num_draws * (checks.num_blocks + 4 * CHUNK_TRIALS) * 8
    return (
        Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow imported"),
        Claim("parser", PARSER_BYTES, "one block of a table, or one piece being sorted"),
        Claim(
            "tables",
            num_levels * CHUNK_ENTRIES * LEVEL_BYTES * 2 + WINDOW_BYTES,
            f"{num_levels:,} levels x {CHUNK_ENTRIES:,} entries x {LEVEL_BYTES} B, twice, and bars of a few entries",
        ),
        Claim("grid", largest * GRID_BYTES, f"{largest:,} combinations x {GRID_BYTES} B"),
        Claim(
            "weights",
            weight_trials * checks.num_blocks * 8,
            f"{weight_trials:,} weights and thresholds x {checks.num_blocks} blocks x 8 B",
        ),
        Claim(
            "tests",
            max(draw_bytes, SPLIT_BYTES),
            f"{checks.num_draws:,} draws x ({checks.num_blocks} blocks + 4 x {CHUNK_TRIALS} trials) x 8 B,"
            f" or {format_bytes(SPLIT_BYTES)} of splits",
        ),
    )


def _disk_claim(config: SearchConfig, source_bytes: int) -> Claim:
    row_bytes = (config.validation.num_blocks + NUM_STATISTICS) * 8
    sums = sum(2 * _searched(config, t) * row_bytes for t in config.types.values())
    return Claim(
        "bars, entries and sums",
        SOURCE_DISK_FACTOR * source_bytes + sums,
        f"{SOURCE_DISK_FACTOR} x {format_bytes(source_bytes)} of tables, and combinations x {row_bytes} B, twice",
        temporary=True,
    )


def notes(config: SearchConfig, num_entries: int = 0) -> list[str]:
    """Say what the search will do about each grid that is too large, and about how long it takes."""
    said = []
    for name, type_config in config.types.items():
        number, longest = type_config.grid.num_combinations, type_config.grid.holds[-1]
        if type_config.phase3 == "grid" and number > config.max_combinations:
            points = config.num_starts * (config.max_rounds + 1) * 5 * 16
            exhaustive = number * max(num_entries, 1000) / EVALUATIONS_PER_SECOND
            lines = points * max(num_entries, 1000) / EVALUATIONS_PER_SECOND
            lines += config.num_starts * config.max_rounds * 5 * max(num_entries, 1000) / BUILDS_PER_SECOND
            said.append(
                f"{name}: the grid of {number:,} combinations is larger than max_combinations"
                f" ({config.max_combinations:,}), so it is not tried whole (about {format_seconds(exhaustive)} for"
                f" {max(num_entries, 1000):,} entries). Line searches from {config.num_starts} starts look at about"
                f" {points:,} of them, in about {format_seconds(lines)}; holdings up to {longest:,} periods."
            )
        if type_config.tune_on == "opportunities":
            said.append(
                f"{name}: tuned on opportunities only, which are known with hindsight: what it promises is not what all"
                " signals earn."
            )
    return said
