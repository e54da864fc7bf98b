"""The environment variables with which AWS clients use one embedded AWS.

Settings for other accounts are removed, because clients would use another endpoint or fail: profiles, configuration
files, session tokens, endpoints of single services, certificates, proxies.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from local.credentials import AccessKey
from local.lifecycle import ServerInfo
from local.settings import CLIENT_VARIABLES, HOST

PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


def environment(server: ServerInfo, caller: Mapping[str, str], key: AccessKey | None = None) -> dict[str, str]:
    """Return the caller's variables with the AWS variables for `server` and `key`, by default that of the root user.

    Proxies are kept; `no_proxy` excludes the server.
    """
    kept = {name: value for name, value in caller.items() if not _is_aws_variable(name)}
    listed = ",".join(caller.get(name, "") for name in ("no_proxy", "NO_PROXY")).split(",")
    direct = ",".join(dict.fromkeys(host for host in [*listed, HOST, "localhost"] if host))
    return {**kept, **variables(server, key), "no_proxy": direct, "NO_PROXY": direct}


def variables(server: ServerInfo, key: AccessKey | None = None) -> dict[str, str]:
    """Return the AWS variables for `server` and `key`, by default that of the root user."""
    key = key or server.access_key()
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_REGION": server.region,
        "AWS_DEFAULT_REGION": server.region,
        **CLIENT_VARIABLES,
    }


def use(server: ServerInfo, key: AccessKey | None = None) -> None:
    """Make the AWS clients of this process and of its later child processes use `server`.

    They sign with `key`, by default that of the root user.
    """
    wanted = environment(server, os.environ, key)
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)


def exports(server: ServerInfo, caller: Mapping[str, str]) -> str:
    """Return the shell commands that change the caller's environment to that of `environment`."""
    wanted = environment(server, caller)
    lines = [f"unset {name}" for name in sorted(caller.keys() - wanted.keys()) if name.isidentifier()]
    if not any(name.lower() in PROXIES for name in caller):
        wanted = {name: value for name, value in wanted.items() if name.lower() != "no_proxy"}
    lines += [
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(wanted.items())
        if name.startswith("AWS_") or caller.get(name) != value
    ]
    return "\n".join(lines)


def _is_aws_variable(name: str) -> bool:
    return name.startswith("AWS_") or name == "BOTO_CONFIG"
