"""The error that a deployment ends with."""


class DeployError(Exception):
    """The message says what failed and what to do next."""
