"""``seawall doctor leak``: find what knows its future."""
