"""Outside tables: which files, how to parse them in small blocks, their types and times, and SQL over one bucket."""
