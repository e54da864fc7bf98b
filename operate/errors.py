"""The error that ends a command."""


class CommandError(Exception):
    """The message says what failed and what to do next."""
