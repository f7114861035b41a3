"""Looking on while a run works: what its small files tell, for a terminal and for a local page."""
