"""The sentences with which a saved state is refused."""

from __future__ import annotations

from pathlib import Path

FORGET = "make down DATA=yes"


class StateRefused(RuntimeError):
    """The saved state cannot be restored; the message is one sentence for the user."""


def damaged(path: Path, reason: str) -> str:
    """Return the sentence for a file whose content is not what was written."""
    return f"The saved state is damaged ({path}: {reason}); copy the file back, or forget the state with: {FORGET}"
