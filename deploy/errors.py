"""The error of the deployment commands."""


class DeployError(Exception):
    """A command failed. The message names what failed and what to do next."""
