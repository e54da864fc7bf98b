"""The environment in which AWS clients talk to one embedded AWS, and to nothing else.

Whatever the caller has set for other accounts would otherwise lead them away from it or make them fail: profiles and
configuration files, session tokens, endpoints of single services, certificates, proxies.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from local.lifecycle import ServerInfo
from local.settings import CLIENT_VARIABLES, HOST

PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


def environment(server: ServerInfo, caller: Mapping[str, str]) -> dict[str, str]:
    """The caller's variables without those of AWS, plus those that lead to `server`.

    Proxies stay, for everything else there is in the network; `no_proxy` keeps clients of this machine off them.
    """
    kept = {name: value for name, value in caller.items() if not _is_of_aws(name)}
    listed = ",".join(caller.get(name, "") for name in ("no_proxy", "NO_PROXY")).split(",")
    direct = ",".join(dict.fromkeys(host for host in [*listed, HOST, "localhost"] if host))
    return {**kept, **variables(server), "no_proxy": direct, "NO_PROXY": direct}


def variables(server: ServerInfo) -> dict[str, str]:
    """AWS's own variables for `server`."""
    key = server.access_key()
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_REGION": server.region,
        "AWS_DEFAULT_REGION": server.region,
        **CLIENT_VARIABLES,
    }


def use(server: ServerInfo) -> None:
    """Make the AWS clients of this process, and of processes it starts from now on, talk to `server` only."""
    wanted = environment(server, os.environ)
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)


def exports(server: ServerInfo, caller: Mapping[str, str]) -> str:
    """Shell commands that turn the caller's environment into that of `environment`."""
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


def _is_of_aws(name: str) -> bool:
    return name.startswith("AWS_") or name == "BOTO_CONFIG"
