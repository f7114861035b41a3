"""Networks that turn a lookback of features into predictions. Each sees the lookback of its sample and nothing else."""
