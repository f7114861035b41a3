"""``python -m bench [CASE ...]``."""

import sys

from bench.cases import CASES
from bench.harness import show, yardsticks


def main() -> None:
    """Run the named cases, or all of them."""
    names = sys.argv[1:] or list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise SystemExit(f"unknown case {unknown[0]!r}; cases: {', '.join(CASES)}")
    show("yardsticks of this machine, now", yardsticks())
    for name in names:
        CASES[name]()


if __name__ == "__main__":
    main()
