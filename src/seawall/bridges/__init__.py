"""To other libraries, one a file: each is imported only by who uses it, and needs that library installed."""
