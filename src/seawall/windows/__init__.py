"""From a panel store to batches: walk-forward folds, legal samples, a keyed order, and the gather. NumPy only."""
