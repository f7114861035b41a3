"""Which baselines a model beats, in words."""

from collections.abc import Sequence

from seawall.report.fields import Fields
from seawall.report.records import RunRecords

LESS_NAMES = (("rank_ic", "Rank IC"), ("ic", "IC"), ("squared_error", "squared error"))
"""What is compared date by date; of the last one less is better."""

SIGNIFICANT = 0.05


def verdict(less: Fields, *, less_is_better: bool = False) -> str:
    """Say whether the model is better than another by one number, at 5 %."""
    mean, p_hac = less.number("mean"), less.number("p_hac")
    if mean is None or p_hac is None:
        return "cannot be told"
    if p_hac >= SIGNIFICANT:
        return "no difference shown"
    return "better" if (mean < 0) == less_is_better else "worse"


def verdicts(run: RunRecords) -> list[str]:
    """Say of each baseline, in a sentence, whether the model beats it."""
    sentences = []
    for other in run.metrics.parts("beside"):
        if other.text("kind") == "baseline":
            found = {
                key: verdict(other.part("less").part(key), less_is_better=key == "squared_error")
                for key, _ in LESS_NAMES
            }
            sentences.append(_sentence(other_name(other), found))
    return sentences


def _sentence(name: str, found: dict[str, str]) -> str:
    by = {said: [label for key, label in LESS_NAMES if found[key] == said] for said in set(found.values())}
    better, worse = by.get("better", []), by.get("worse", [])
    if better and not worse:
        return f"The model beats {name} by {_listed(better)}."
    if worse and not better:
        return f"The model is worse than {name} by {_listed(worse)}."
    if better:
        return f"The model beats {name} by {_listed(better)} and is worse by {_listed(worse)}."
    return f"The model is not shown to beat {name}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)


def other_name(other: Fields) -> str:
    """Name a seed or a baseline."""
    name = (other.text("of") or "").replace("_", " ")
    return f"seed {name}" if other.text("kind") == "seed" else name
