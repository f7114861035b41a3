"""``python -m bench [--peers] [CASE ...]``; ingest, join, backtest, cluster, metrics and daily_ic take options."""

import sys
from collections.abc import Callable, Sequence

from bench import backtest_large, bridges, cluster, daily_ic, ingest_large, join_large, metrics, topk_dropout
from bench.alpha158 import alpha158
from bench.cases import CASES
from bench.harness import show, yardsticks
from bench.loader import loader_peers
from bench.search_peers import search_peers

PEER_CASES = {
    "alpha158": alpha158,
    "bridges": bridges.bridges,
    "daily_ic": daily_ic.daily_ic,
    "loader": loader_peers,
    "search": search_peers,
    "topk_dropout": topk_dropout.topk_dropout,
}
"""Cases that run a peer from .venv-peers, which `make bench-peers` makes."""

OWN: dict[str, Callable[[Sequence[str]], None]] = {
    "ingest": ingest_large.main,
    "join": join_large.main,
    "backtest": backtest_large.main,
    "cluster": cluster.main,
    "metrics": metrics.main,
    "daily_ic": daily_ic.main,
    "topk_dropout": topk_dropout.main,
}
"""Cases that take options of their own; but for the last ones below, only where some are given."""

ALWAYS_OWN = ("join", "backtest", "cluster")


def main() -> None:
    """Run the named cases, or all of them; ``--peers`` means the cases with a peer of its own."""
    name, options = "".join(sys.argv[1:2]), sys.argv[2:]
    if name in ALWAYS_OWN or (name in OWN and options):
        OWN[name](options)
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
