"""Order of stages, plan, manifest, and the small parent that runs each heavy stage in a child of its own."""
