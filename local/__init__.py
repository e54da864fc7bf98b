"""The embedded AWS: ministack plus SageMaker on one loopback port, without Docker and without an account.

`python -m local up`, `status` and `down` for people; `start`, `stop` and `running` for programs.
"""

from local.lifecycle import LocalAwsError, ServerInfo, running, start, stop
from local.settings import Settings

__all__ = ["LocalAwsError", "ServerInfo", "Settings", "running", "start", "stop"]
