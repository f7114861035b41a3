"""The portfolio backtest: what predictions would have earned, after costs, if traded."""
