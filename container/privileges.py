"""Continue as a user without privileges.

"SageMaker AI expects all containers to run with root users" (Amazon SageMaker AI Developer Guide, "Custom Inference
Code with Hosting Services"), so the image has no USER. The programs read photos of strangers, so they do not stay root.
"""

import os
import pwd
import sys
from collections.abc import Iterable
from pathlib import Path

USER = "program"
"""The user that the Dockerfile creates."""


def drop_privileges(owned: Iterable[Path] = ()) -> None:
    """Give the folders `owned` to USER, and become USER; does nothing for a process that is not root.

    On a computer without that user, which is not the image, the process stays root and says so.
    """
    if os.geteuid() != 0:
        return
    try:
        account = pwd.getpwnam(USER)
    except KeyError:
        print(f"there is no user {USER!r} here: continuing as root", file=sys.stderr, flush=True)
        return
    for folder in owned:
        folder.mkdir(parents=True, exist_ok=True)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
