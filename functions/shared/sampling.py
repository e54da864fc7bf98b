"""Samples of photos by their ids, so that a sample can be drawn again."""

import hashlib

AUDIT = "audit"
SECOND_OPINION = "second opinion"


def in_sample(photo_id: str, share: float, purpose: str) -> bool:
    """Whether a photo is in the sample for a purpose, which has the `share` in [0, 1] of all photos.

    A larger share contains the smaller ones. Samples for different purposes are independent of each other and of the
    labels that a snapshot keeps for evaluation, because the purpose is hashed together with the id.

    >>> in_sample("0" * 32, 1.0, AUDIT), in_sample("0" * 32, 0.0, AUDIT)
    (True, False)
    """
    digest = hashlib.sha256(f"{purpose}\0{photo_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def parse_share(value: str | None, setting: float) -> float:
    """Return the share in [0, 1] that the value of a parameter stands for: `setting` unless it is such a number."""
    try:
        share = float(value or "")
    except ValueError:  # see the docstring
        return setting
    return share if 0 <= share <= 1 else setting
