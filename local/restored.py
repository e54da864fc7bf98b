"""What a started server has restored, for people."""

from __future__ import annotations

from local.lifecycle import ServerInfo
from local.persistence import folder
from local.settings import Settings


def print_restored(server: ServerInfo, settings: Settings) -> None:
    """Print what a server that was started now has restored, and from what time on changes are lost."""
    if server.restored is None:
        return
    print(f"Restored {', '.join(_counted(number, name) for name, number in server.restored.items())}.")
    if server.unsaved_since is not None:
        print(
            f"It was not stopped with make down. Its state is of {folder.time_text(server.unsaved_since)}; "
            f"what changed after that is lost: {settings.save_interval_s:g} s and the duration of a save at most."
        )


def _counted(number: int, plural: str) -> str:
    """Return a number with its noun.

    >>> _counted(1, "stacks"), _counted(1200, "objects")
    ('1 stack', '1,200 objects')
    """
    return f"{number:,} {plural if number != 1 else plural.removesuffix('s')}"
