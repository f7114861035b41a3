"""``python -m bench [--peers] [CASE ...]``; ingest, join, backtest, metrics and daily_ic take options."""

import sys

from bench import backtest_large, daily_ic, ingest_large, join_large, metrics
from bench.alpha158 import alpha158
from bench.cases import CASES
from bench.harness import show, yardsticks
from bench.loader import loader_peers
from bench.search_peers import search_peers

PEER_CASES = {"alpha158": alpha158, "daily_ic": daily_ic.daily_ic, "loader": loader_peers, "search": search_peers}
"""Cases that run a peer from .venv-peers, which `make bench-peers` makes."""


def main() -> None:
    """Run the named cases, or all of them; ``--peers`` means the cases with a peer of its own."""
    if sys.argv[1:2] == ["ingest"] and sys.argv[2:]:
        ingest_large.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["join"]:
        join_large.main(sys.argv[2:])
        return
    if sys.argv[1:2] in (["metrics"], ["daily_ic"]) and sys.argv[2:]:
        {"metrics": metrics, "daily_ic": daily_ic}[sys.argv[1]].main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["backtest"]:
        backtest_large.main(sys.argv[2:])
        return
    cases = PEER_CASES if "--peers" in sys.argv[1:] else CASES
    names = [word for word in sys.argv[1:] if word != "--peers"] or list(cases)
    unknown = [name for name in names if name not in cases]
    if unknown:
        raise SystemExit(f"unknown case {unknown[0]!r}; cases: {', '.join(cases)}")
    show("yardsticks of this machine, now", yardsticks())
    for name in names:
        cases[name]()


if __name__ == "__main__":
    main()
