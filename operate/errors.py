"""What can go wrong in a command, as a sentence for the person in front of the terminal."""


class CommandError(Exception):
    """The message says what failed and what to do next."""
