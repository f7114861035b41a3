"""The ways to name features, turned into expressions and the source columns they need."""

from collections.abc import Mapping, Sequence
from typing import Any

Features = Mapping[str, str] | Sequence[str] | None
"""Expressions by name, columns, or all number columns; with feature sets and nothing named, the sets are all."""


def needs_columns(section: Mapping[str, Any], features: Features) -> bool:
    """Tell whether the number columns of the sources must be known."""
    if isinstance(features, Mapping):
        return not section.get("values")
    return features is None and not section.get("feature_sets")


def with_features(section: dict[str, Any], features: Features, number_columns: Sequence[str]) -> dict[str, Any]:
    """Complete a section with features and the columns they are computed from; prices are named apart."""
    prices = section.get("prices", ())
    if isinstance(features, Mapping):
        named, needed = dict(features), list(section.get("values") or number_columns)
    else:
        found = number_columns if features is None and not section.get("feature_sets") else features or ()
        needed = [name for name in found if features is not None or name not in prices]
        named = {name: '"' + name.replace('"', '""') + '"' for name in needed}
    values = [name for name in dict.fromkeys((*section.get("values", ()), *needed)) if name not in prices]
    return section | {"features": named, "values": values}
