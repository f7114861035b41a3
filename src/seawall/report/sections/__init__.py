"""The sections of the page, one file each: markup from records, and a plain sentence where a record is missing."""
