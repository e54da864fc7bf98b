"""Reviewers for tests."""

from console.identity import Reviewer


def reviewer(identity: str) -> Reviewer:
    """Return the reviewer with an identity; `reviewer("ada")` is displayed as Ada."""
    return Reviewer(identity, identity.capitalize())
