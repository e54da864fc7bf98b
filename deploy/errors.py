"""What can go wrong while deploying, as a sentence for the person in front of the terminal."""


class DeployError(Exception):
    """The message says what failed and what to do next."""
