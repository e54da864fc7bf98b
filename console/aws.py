"""One AWS client per service."""

import threading
from typing import Any, TypeAlias

import boto3
from botocore.config import Config

# boto3 makes its clients at run time.
Client: TypeAlias = Any


class Aws:
    """One client per AWS service, made when first used and shared by all threads."""

    def __init__(self) -> None:
        self._session = boto3.session.Session()
        self._clients: dict[str, Client] = {}
        self._lock = threading.Lock()

    def __getattr__(self, service: str) -> Client:
        if service.startswith("_"):
            raise AttributeError(service)
        # Making clients from one session is not thread-safe, using them is.
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._session.client(  # type: ignore[call-overload]
                    service,
                    config=Config(
                        connect_timeout=3,
                        read_timeout=30,
                        retries={"mode": "standard", "total_max_attempts": 3},
                        max_pool_connections=32,
                    ),
                )
            return self._clients[service]
