"""The parameter search: which exits, score weights and thresholds would have earned most, and whether to believe it."""
