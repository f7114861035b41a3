"""Evaluate: exact errors, IC and Rank IC of all predictions, streamed date by date."""
