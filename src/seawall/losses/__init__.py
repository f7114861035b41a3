"""Losses that training minimises. A missing target is masked: it gives no loss and no gradient."""
