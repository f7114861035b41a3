"""Features and target from the number columns: SQL that never looks ahead, and why each is there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seawall.pipeline.init.names import ADJUSTED_NAMES, HIGH_NAMES, LOW_NAMES, OPEN_NAMES, is_size, is_target, rank
from seawall.pipeline.init.prices import closing_price, named, price_columns

MOST_FEATURES = 64
"""Columns taken as they are at most: more are rarely wanted in a first run."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The number columns by what they are for."""

    prices: tuple[str, ...]
    close: str | None
    sizes: tuple[str, ...]
    plain: tuple[str, ...]
    targets: tuple[str, ...]
    left_out: Mapping[str, str]
    """Column, and why."""

    @property
    def adjusts(self) -> bool:
        """Whether open, high, low and a close are there, by which scale breaks are found."""
        return all(self.role(known) for known in (OPEN_NAMES, HIGH_NAMES, LOW_NAMES)) and self.raw_close is not None

    def role(self, known: tuple[str, ...]) -> str | None:
        """Name the price of a role."""
        return named(self.prices, known)

    @property
    def raw_close(self) -> str | None:
        """Name the unadjusted close that stands beside open, high and low."""
        return closing_price([name for name in self.prices if rank(name, ADJUSTED_NAMES) is None])


def sort_columns(
    numbers: Sequence[str], survey: Mapping[str, Any], keys: Sequence[str], *, price: str | None, is_wide: bool
) -> Columns:
    """Sort the number columns by their names and ranges; ``price`` is the one returns are taken from, if the user said.

    The range of a column decides little: a price that is zero or negative more than once in 20 rows is none.
    """
    ranges: Mapping[str, Mapping[str, Any]] = survey["columns"]
    left_out: dict[str, str] = {}
    folded = {key.casefold(): key for key in (*keys, "adjustment", "__id", "__entity", "__time")}
    usable: list[str] = []
    for name in numbers:
        found = ranges[name]
        if found["lowest"] is None:
            left_out[name] = "no value in the rows read"
        elif name.casefold() in folded:
            left_out[name] = f"SQL cannot tell it from {folded[name.casefold()]}"
        elif found["lowest"] == found["highest"] and int(found["num_rows"]) > 1:
            left_out[name] = f"always {found['lowest']:g} in the rows read"
        else:
            usable.append(name)
            folded[name.casefold()] = name
    targets = [name for name in usable if is_target(name)]
    named_prices = list(usable) if is_wide else price_columns([name for name in usable if name not in targets])
    close = usable[0] if is_wide and usable else closing_price(named_prices)
    if price is not None and price in usable:
        named_prices, close = list(dict.fromkeys([*named_prices, price])), price
    elif close is not None and 20 * int(ranges[close]["num_not_positive"]) > int(ranges[close]["num_rows"]):
        named_prices, close = [], None  # something else than a price: it is zero or negative too often
    rest = [name for name in usable if name not in named_prices and name not in targets]
    sizes = [name for name in rest if close is not None and is_size(name) and ranges[name]["lowest"] >= 0]
    plain = [name for name in rest if name not in sizes]
    for name in plain[MOST_FEATURES:]:
        left_out[name] = f"more than {MOST_FEATURES} columns"
    return Columns(tuple(named_prices), close, tuple(sizes), tuple(plain[:MOST_FEATURES]), tuple(targets), left_out)


def quoted(name: str) -> str:
    """Quote a column for SQL."""
    return '"' + name.replace('"', '""') + '"'


def unused(name: str, taken: Sequence[str]) -> str:
    """Change a name until no column has it."""
    folded = {other.casefold() for other in taken}
    while name.casefold() in folded:
        name += "_"
    return name


@dataclass(frozen=True, slots=True)
class Recipe:
    """The SQL of an ingest."""

    derived: dict[str, str]
    features: dict[str, str]
    drop_rows: dict[str, str]


def recipe_of(columns: Columns, numbers: Sequence[str]) -> Recipe:
    """Write the features: returns, range and volatility of prices, sizes beside their own past, all else as it is."""
    derived: dict[str, str] = {}
    features: dict[str, str] = {}
    drop: dict[str, str] = {}
    if columns.close is not None:
        _prices(columns, numbers, derived, features, drop)
    for number, name in enumerate(columns.sizes):
        helper = unused(f"log_{name}", [*numbers, *derived])
        derived[helper] = f"ln(1 + greatest({quoted(name)}, 0))"
        mean = f"avg({quoted(helper)}) OVER (entity ROWS 19 PRECEDING)"
        features[unused(f"{name}_unusual", list(features))] = f"{quoted(helper)} - {mean}"
        if number == 0:
            features[unused(f"{name}_level", list(features))] = mean
    for name in columns.plain:
        features[unused(name, list(features))] = quoted(name)
    return Recipe(derived, features, drop)


def _prices(
    columns: Columns, numbers: Sequence[str], derived: dict[str, str], features: dict[str, str], drop: dict[str, str]
) -> None:
    close = str(columns.close)
    adjusted = quoted(f"adj_{close}")
    ret = unused("log_return", numbers)
    derived[ret] = f"ln({adjusted} / lag({adjusted}) OVER entity)"
    features["ret_1"] = quoted(ret)
    for periods in (5, 20):
        features[f"ret_{periods}"] = f"ln({adjusted} / lag({adjusted}, {periods}) OVER entity)"
    features["volatility_20"] = f"stddev_samp({quoted(ret)}) OVER (entity ROWS 19 PRECEDING)"
    features["from_high_20"] = f"{adjusted} / max({adjusted}) OVER (entity ROWS 19 PRECEDING) - 1"
    high, low = columns.role(HIGH_NAMES), columns.role(LOW_NAMES)
    body = columns.raw_close or close
    if high is not None and low is not None:
        features["range"] = f"ln({quoted(high)} / {quoted(low)})"
        features["close_in_range"] = f"({quoted(body)} - {quoted(low)}) / nullif({quoted(high)} - {quoted(low)}, 0)"
    names = ", ".join(quoted(name) for name in columns.prices)
    least = f"least({names})" if len(columns.prices) > 1 else names
    drop["price not above zero"] = f"{least} <= 0"
