"""Outside tables in, panel store out: parse in blocks, scatter to buckets of whole entities, sort each in memory."""
