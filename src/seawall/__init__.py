"""Walk-forward deep learning on panels inside a declared memory budget."""

__version__ = "0.1.0"
