"""Access keys in files that only their owner can read: that of the root user, which is random at each start, and those
of IAM users (`users`).
"""

from __future__ import annotations

import json
import os
import secrets
import string
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE_NAME = "credentials.json"
KEY_ID_CHARACTERS = string.ascii_uppercase + "234567"


@dataclass(frozen=True)
class AccessKey:
    """An access key of the account's root user or of an IAM user."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


def random_key() -> AccessKey:
    """Return a random key in the format of AWS: AKIA and 16 characters, and a secret of 40 characters."""
    key_id = "AKIA" + "".join(secrets.choice(KEY_ID_CHARACTERS) for _ in range(16))
    return AccessKey(key_id, secrets.token_urlsafe(30))


def write(key: AccessKey, directory: Path) -> None:
    """Write the key into a file that is created readable by its owner only."""
    remove(directory)
    descriptor = os.open(directory / FILE_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(key), file)


def read(directory: Path) -> AccessKey:
    """Read the key in `directory`; raises FileNotFoundError when there is none."""
    return AccessKey(**json.loads((directory / FILE_NAME).read_text()))


def remove(directory: Path) -> None:
    """Remove the file."""
    (directory / FILE_NAME).unlink(missing_ok=True)
