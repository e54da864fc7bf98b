"""Port, folder and region of the embedded AWS."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
# The folder with the access keys of IAM users.
USERS = "users"
ACCOUNT_ID = "000000000000"
# No configuration files, no instance metadata. With host prefix injection, StartSyncExecution would use the host
# sync-127.0.0.1.
CLIENT_VARIABLES = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
}
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """Port, folder and region of one embedded AWS.

    `directory` is where the server writes its log, temporary files and jobs. Two servers need two ports and two
    directories. The state is saved every `save_interval_s` seconds, and when the server stops; with 0 it is neither
    restored nor saved. `lambda_slots` is the maximum number of concurrent Lambda invocations; further ones wait.
    `authorization` enforces the IAM policies of the roles of functions and services, which otherwise act as the root
    user; those of users are always enforced. `faults` is a file with faults to inject, `calls` one to record the
    authorized calls in; None for none.
    """

    port: int = 4566
    directory: Path = REPOSITORY / "build" / "local"
    region: str = "eu-west-1"
    lambda_slots: int = 4
    authorization: bool = True
    save_interval_s: float = 20.0
    faults: Path | None = None
    calls: Path | None = None

    @classmethod
    def from_environment(cls) -> Settings:
        """Read LOCAL_AWS_PORT, LOCAL_AWS_DIR, AWS_REGION and the variables of `as_environment` beside them.

        LOCAL_AWS_AUTH is `false` to let functions and services act as the root user, LOCAL_AWS_FAULTS the file of
        injected faults, LOCAL_AWS_CALLS that of recorded calls.
        """
        environ = os.environ
        return cls(
            port=int(environ.get("LOCAL_AWS_PORT") or cls.port),
            directory=Path(environ.get("LOCAL_AWS_DIR") or cls.directory).resolve(),
            region=environ.get("AWS_REGION") or cls.region,
            lambda_slots=int(environ.get("LOCAL_LAMBDA_SLOTS") or cls.lambda_slots),
            save_interval_s=float(environ.get("LOCAL_AWS_SAVE_S") or cls.save_interval_s),
            authorization=(environ.get("LOCAL_AWS_AUTH") or "true").lower() == "true",
            faults=Path(environ["LOCAL_AWS_FAULTS"]) if environ.get("LOCAL_AWS_FAULTS") else None,
            calls=Path(environ["LOCAL_AWS_CALLS"]) if environ.get("LOCAL_AWS_CALLS") else None,
        )

    @property
    def url(self) -> str:
        """The endpoint URL."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """The server's output, kept after `down`."""
        return self.directory / "server.log"

    @property
    def pid_file(self) -> Path:
        """The file with the process id."""
        return self.directory / "server.pid"

    @property
    def state(self) -> Path:
        """The folder with the saved state, kept after `down`."""
        return self.directory / "state"

    @property
    def users(self) -> Path:
        """The folder with the access keys of IAM users, kept after `down`."""
        return self.directory / USERS

    @property
    def images(self) -> Path:
        """The folder with the container images, kept after `down`."""
        return self.directory / "images"

    @property
    def violations(self) -> Path | None:
        """The file, beside `calls`, with the calls of functions that AWS would refuse or answer differently."""
        return None if self.calls is None else self.calls.with_name("violations.jsonl")

    @property
    def work(self) -> Path:
        """The folder that is removed when the server stops."""
        return self.directory / "work"

    def as_environment(self) -> dict[str, str]:
        """The variables `from_environment` reads, for a child process."""
        return {
            "LOCAL_AWS_PORT": str(self.port),
            "LOCAL_AWS_DIR": str(self.directory),
            "AWS_REGION": self.region,
            "LOCAL_LAMBDA_SLOTS": str(self.lambda_slots),
            "LOCAL_AWS_SAVE_S": str(self.save_interval_s),
            "LOCAL_AWS_AUTH": "true" if self.authorization else "false",
            "LOCAL_AWS_FAULTS": str(self.faults or ""),
            "LOCAL_AWS_CALLS": str(self.calls or ""),
        }
