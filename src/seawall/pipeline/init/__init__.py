"""A first config for tables nobody has described yet: looked at, guessed, every guess explained."""
