"""The command line: one command, one file. Help text is the docstring."""
