"""Our files on disk: panel store, slot file, prediction store, scalers. Formats are in FORMAT.md."""
