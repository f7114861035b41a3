"""Measured claims: each case runs ours and the peer in turn in one run and prints ratios of medians."""
