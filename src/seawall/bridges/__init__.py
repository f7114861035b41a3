"""To other libraries and programs, one a file: each is imported only by who uses it, and names what it needs."""
