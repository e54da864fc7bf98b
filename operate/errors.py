"""The error that ends a command."""


class CommandError(Exception):
    """A command failed; the message contains the reason and what to do."""
