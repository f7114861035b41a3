"""What each feature set holds: names, formulas, sources. Light to import: planning and the documents read it."""

from dataclasses import dataclass

WINDOWS = (5, 10, 20, 30, 60)
"""Rows of the rolling features of alpha158."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: its name, its formula and what it tells."""

    name: str
    formula: str
    meaning: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class SetFacts:
    """What planning must know of a set.

    ``history_periods`` is how many earlier rows (or dates, see ``align``) a value may depend on.
    """

    features: tuple[Feature, ...]
    columns: tuple[str, ...]
    history_periods: int
    align: str
    source: str

    def names(self, columns: tuple[str, ...]) -> tuple[str, ...]:
        """List the names of the features that the columns at hand allow."""
        without = {f"{column.upper()}0" for column in self.columns if column not in columns}
        return tuple(feature.name for feature in self.features if feature.name not in without)


_KBAR = (
    ("KMID", "(close - open) / open", "body of the bar"),
    ("KLEN", "(high - low) / open", "length of the bar"),
    ("KMID2", "(close - open) / (high - low + 1e-12)", "body by length"),
    ("KUP", "(high - max(open, close)) / open", "upper shadow"),
    ("KUP2", "(high - max(open, close)) / (high - low + 1e-12)", "upper shadow by length"),
    ("KLOW", "(min(open, close) - low) / open", "lower shadow"),
    ("KLOW2", "(min(open, close) - low) / (high - low + 1e-12)", "lower shadow by length"),
    ("KSFT", "(2 close - high - low) / open", "where the close lies"),
    ("KSFT2", "(2 close - high - low) / (high - low + 1e-12)", "where the close lies, by length"),
)

_ROLLING = (
    ("ROC", "ref(close, d) / close", "price d rows ago"),
    ("MA", "mean(close, d) / close", "moving average"),
    ("STD", "std(close, d) / close", "standard deviation, ddof 1"),
    ("BETA", "slope(close, d) / close", "slope of the least-squares line"),
    ("RSQR", "rsquare(close, d)", "R2 of that line; undefined where std(close, d) <= 2e-5"),
    ("RESI", "resi(close, d) / close", "residual of the last point"),
    ("MAX", "max(high, d) / close", "highest high"),
    ("MIN", "min(low, d) / close", "lowest low"),
    ("QTLU", "quantile(close, d, 0.8) / close", "80 % quantile, linear"),
    ("QTLD", "quantile(close, d, 0.2) / close", "20 % quantile, linear"),
    ("RANK", "rank(close, d)", "rank of the last close in (0, 1], ties average"),
    ("RSV", "(close - min(low, d)) / (max(high, d) - min(low, d) + 1e-12)", "place between low and high"),
    ("IMAX", "idxmax(high, d) / d", "place of the highest high, 1 is the oldest row"),
    ("IMIN", "idxmin(low, d) / d", "place of the lowest low"),
    ("IMXD", "(idxmax(high, d) - idxmin(low, d)) / d", "rows from the low to the high"),
    ("CORR", "corr(close, ln(volume + 1), d)", "undefined where one of them has std <= 2e-5"),
    ("CORD", "corr(close / ref(close, 1), ln(volume / ref(volume, 1) + 1), d)", "correlation of the changes"),
    ("CNTP", "mean(close > ref(close, 1), d)", "share of rises"),
    ("CNTN", "mean(close < ref(close, 1), d)", "share of falls"),
    ("CNTD", "CNTP - CNTN", "rises less falls"),
    ("SUMP", "sum(max(close - ref(close, 1), 0), d) / (sum(abs(close - ref(close, 1)), d) + 1e-12)", "gains by moves"),
    ("SUMN", "sum(max(ref(close, 1) - close, 0), d) / (sum(abs(close - ref(close, 1)), d) + 1e-12)", "losses by moves"),
    ("SUMD", "SUMP - SUMN, before the division", "gains less losses, by moves"),
    ("VMA", "mean(volume, d) / (volume + 1e-12)", "average volume"),
    ("VSTD", "std(volume, d) / (volume + 1e-12)", "standard deviation of the volume"),
    (
        "WVMA",
        "std(w, d) / (mean(w, d) + 1e-12) with w = abs(close / ref(close, 1) - 1) * volume",
        "volatility",
    ),
    ("VSUMP", "SUMP of the volume", "rises of volume by its moves"),
    ("VSUMN", "SUMN of the volume", "falls of volume by its moves"),
    ("VSUMD", "SUMD of the volume", "rises less falls of volume, by its moves"),
)

ALPHA158 = (
    *(Feature(name, formula, meaning) for name, formula, meaning in _KBAR),
    *(Feature(f"{name.upper()}0", f"{name} / close", f"{name} by close") for name in ("open", "high", "low", "vwap")),
    *(
        Feature(f"{name}{rows}", formula.replace(" d)", f" {rows})").replace("/ d", f"/ {rows}"), meaning)
        for name, formula, meaning in _ROLLING
        for rows in WINDOWS
    ),
)

_WILDER = "J. W. Wilder, New Concepts in Technical Trading Systems (1978), with simple means"
_JT = "Jegadeesh and Titman, Journal of Finance 48 (1993)"

BARS_BASIC = (
    Feature("ret_1", "ln(close / ref(close, 1))", "log return of one row"),
    Feature("ret_5", "ln(close / ref(close, 5))", "log return of 5 rows"),
    Feature("ret_10", "ln(close / ref(close, 10))", "log return of 10 rows"),
    Feature("ret_20", "ln(close / ref(close, 20))", "log return of 20 rows"),
    Feature("ret_60", "ln(close / ref(close, 60))", "log return of 60 rows"),
    Feature("mom_120_20", "ln(ref(close, 20) / ref(close, 120))", "momentum without the last 20 rows", _JT),
    Feature("vol_5", "std(ret_1, 5)", "volatility of 5 rows"),
    Feature("vol_20", "std(ret_1, 20)", "volatility of 20 rows"),
    Feature("vol_60", "std(ret_1, 60)", "volatility of 60 rows"),
    Feature(
        "parkinson_20",
        "sqrt(mean(ln(high / low)^2, 20) / (4 ln 2))",
        "range volatility",
        "Parkinson (1980)",
    ),
    Feature("gap", "ln(open / ref(close, 1))", "overnight return"),
    Feature("range", "ln(high / low)", "high to low"),
    Feature("close_location", "(close - low) / (high - low)", "place of the close in the bar, undefined in a flat bar"),
    Feature(
        "atr_14",
        "mean(max(high, ref(close, 1)) - min(low, ref(close, 1)), 14) / close",
        "average true range by close",
        _WILDER,
    ),
    Feature(
        "rsi_14",
        "sum(max(d, 0), 14) / sum(abs(d), 14) with d = close - ref(close, 1)",
        "relative strength in 0 to 1 (0.5 is even)",
        _WILDER,
    ),
    Feature("macd", "(ema(close, 12) - ema(close, 26)) / close", "fast less slow average, by close", "Appel (1979)"),
    Feature(
        "macd_hist", "macd - ema(ema(close, 12) - ema(close, 26), 9) / close", "macd less its signal line", "Appel"
    ),
    Feature("bollinger_20", "(close - mean(close, 20)) / std(close, 20)", "place in the band", "Bollinger"),
    Feature("ma_ratio_20", "close / mean(close, 20) - 1", "distance from the average of 20 rows"),
    Feature("ma_ratio_60", "close / mean(close, 60) - 1", "distance from the average of 60 rows"),
    Feature("drawdown_60", "close / max(close, 60) - 1", "loss since the highest close of 60 rows"),
    Feature("volume_z_20", "(v - mean(v, 20)) / std(v, 20) with v = ln(volume + 1)", "unusual volume"),
    Feature("volume_change_5", "ln((mean(volume, 5) + 1) / (mean(volume, 20) + 1))", "volume of 5 by that of 20 rows"),
    Feature(
        "illiquidity_20",
        "1e6 mean(abs(ret_1) / (close volume), 20)",
        "price moved by a million traded",
        "Y. Amihud, J. Financial Markets 5 (2002)",
    ),
)

SETS: dict[str, SetFacts] = {
    "bars_basic": SetFacts(BARS_BASIC, ("open", "high", "low", "close", "volume"), 320, "rows", "see each feature"),
    "alpha158": SetFacts(
        ALPHA158,
        ("open", "high", "low", "close", "volume", "vwap"),
        60,
        "calendar",
        "Alpha158 of Microsoft Qlib 0.9.7, qlib/contrib/data/loader.py",
    ),
}
