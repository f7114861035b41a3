"""Join: predictions with the panel's own forward returns and prices, row by row, streamed."""
