"""Names of the columns of a prediction file; no library is imported, for configs check them too."""

from collections.abc import Sequence


def member_column(member: str, target: str, targets: Sequence[str]) -> str:
    """Name a column of a target: ``prediction``, ``seed_3`` ... where there is one target, else with its name."""
    return member if len(targets) == 1 else f"{member}_{target}"


def prediction_column(target: str, targets: Sequence[str]) -> str:
    """Name the column with the predictions of a target: ``prediction`` where there is one, else with its name."""
    return member_column("prediction", target, targets)
