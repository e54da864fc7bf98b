"""The error of the deployment commands."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError


class DeployError(Exception):
    """A command failed. The message names what failed and what to do next."""


@contextmanager
def explained(sentence: str) -> Iterator[None]:
    """Raise every error of AWS or of the deployment as a DeployError that ends with `sentence`."""
    try:
        yield
    except (DeployError, ClientError, BotoCoreError) as error:
        raise DeployError(f"{error}\n{sentence}".strip()) from error
