"""Units of a run on several machines; Ray Core starts them, and files alone tell what they do."""
