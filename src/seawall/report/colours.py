"""One colour per meaning, the same in every chart.

Chosen after the Okabe-Ito set, which colour-blind readers can tell apart; each is legible on white and on near-black,
so light and dark pages share them.
"""

ACCENT = "#2680c2"
QUIET = "#8a94a0"
PARENT = "#5c6670"
DECLARED = "#d55e00"
NEGATIVE = "#d55e00"

SEGMENTS = {"train": "#2680c2", "valid": "#e69f00", "test": "#009e73"}
LEFT_OUT = {"purged": "#d55e00", "embargo": "#cc79a7"}

STAGES = {
    "ingest": "#8a94a0",
    "folds": "#5c6670",
    "train": "#2680c2",
    "predict": "#56b4e9",
    "evaluate": "#cc79a7",
    "join": "#e69f00",
    "backtest": "#009e73",
    "search": "#a3a500",
    "report": "#9a6fb0",
}

_STRATEGIES = ("#2680c2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


def strategy_colour(number: int) -> str:
    """Give the colour of the strategy at this place in the list; after six they come round again."""
    return _STRATEGIES[number % len(_STRATEGIES)]


def stage_colour(stage: str) -> str:
    """Give the colour of a stage."""
    return STAGES.get(stage, QUIET)


def tint(colour: str, opacity: float) -> str:
    """Give a ``#rrggbb`` colour some transparency."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


DIVERGING = [[0, tint(NEGATIVE, 0.8)], [0.5, tint(QUIET, 0.1)], [1, tint(ACCENT, 0.8)]]
"""Colour scale of heat maps around zero; numbers written in the cells stay legible on all of it."""
