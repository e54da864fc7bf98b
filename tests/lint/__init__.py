"""Checks of `make lint` that ruff cannot express: forbidden names and the length of files."""
