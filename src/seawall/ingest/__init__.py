"""Outside tables in, panel store out: parse in small blocks, scatter to buckets of whole entities, sort each in memory."""
