"""Who reviews: the identity that AWS knows, and the name that the reviewer chose for display."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient


_NAME = re.compile(r"[\w.@'-][\w .@'-]{0,39}")

NAME_RULE = "A name has up to 40 letters, digits, spaces, dots, dashes and apostrophes."


def is_name(name: str) -> bool:
    """Whether a text can be the displayed name of a reviewer."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class Reviewer:
    """A reviewer. `id` is the UserId of their AWS identity; `name` is for display only."""

    id: str
    name: str


def find_reviewer(sts: "STSClient", name: str = "") -> Reviewer:
    """Return the caller's identity; `name` is by default the last part of its ARN. Raises ClientError, BotoCoreError.

    The UserId is unique for ever, unlike a user name, and equals `aws:userid` in policies (AWS STS API Reference,
    "GetCallerIdentity"; IAM User Guide, "Unique identifiers"). For a role it contains the name of the session.
    """
    caller = sts.get_caller_identity()
    return Reviewer(caller["UserId"], name or caller["Arn"].rpartition("/")[2].rpartition(":")[2])
