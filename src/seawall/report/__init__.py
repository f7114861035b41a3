"""The report: everything a run recorded, on one page."""
