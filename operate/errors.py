"""The error that a command ends with."""


class CommandError(Exception):
    """The message says what failed and what to do next."""
