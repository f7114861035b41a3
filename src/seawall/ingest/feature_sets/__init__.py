"""Named sets of well-known features, computed over whole entities in chunks of fixed size."""
