"""Real panels shipped with the package, each with its licence and origin beside it."""

from pathlib import Path

__all__ = ["pse_equities"]


def pse_equities() -> Path:
    """Give the path of the Philippine Stock Exchange panel: 538,408 rows, 257 tickers, 2010-01-04 to 2021-12-15.

    A gzipped CSV sorted by (date, symbol): ``symbol``, ``date``, ``open``, ``high``, ``low``, ``close`` in PHP,
    unadjusted, and ``value``, the traded value of the day in PHP (not share volume). Origin: PyPI ``fastquant``
    0.1.8.1, ``fastquant/data/merged_stock_data.zip``, MIT licence; ``README.md`` beside the file tells its quirks.
    """
    return Path(__file__).parent / "pse_equities" / "pse_equities.csv.gz"
